"""Functions of jq with regular expressions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from runner.expr import javaregex
from runner.expr.jq.natives import (
    Arguments,
    native,
)
from runner.expr.jq.tree import Env
from runner.expr.jq.values import (
    JqError,
    Json,
    is_array,
    items_of,
    shown,
)


def _pattern(regex: Json, flags: Json) -> tuple[str, str]:
    """Give the pattern in Java's syntax, and the flags."""
    if not isinstance(regex, str):
        raise JqError(f"{shown(regex)} cannot be matched, as it is not a string")
    modes = flags if isinstance(flags, str) else ""
    if flags is not None and not isinstance(flags, str):
        raise JqError(f"{shown(flags)} is not a string")
    if not set(modes) <= set("gimnpslx"):
        raise JqError(f"{modes} is not a valid modifier string")
    inline = "".join(mode for mode in "ix" if mode in modes)
    inline += "s" if "s" in modes or "p" in modes else ""
    inline += "m"
    return f"(?{inline}){regex}", modes


def _found(env: Env, value: Json, regex: Json, flags: Json, most: int) -> list[javaregex.Match]:
    pattern, modes = _pattern(regex, flags)
    if not isinstance(value, str):
        raise JqError(f"{shown(value)} cannot be matched, as it is not a string")
    matches = javaregex.matches(pattern, value, 0 if "g" in modes else most)
    env.budget.spend_items(len(matches))
    if "n" in modes:
        matches = [match for match in matches if match[0] != match[2]]
    return matches


def _match_object(match: javaregex.Match, names: dict[int, str]) -> Json:
    start, groups, end, spans = match
    captures: list[Json] = []
    for number, text in enumerate(groups[1:] if start != end else (), 1):
        captures.append(
            {
                "offset": spans[number],
                "length": 0 if text is None else len(text),
                "string": text,
                "name": names.get(number),
            }
        )
    return {"offset": start, "length": end - start, "string": groups[0], "captures": captures}


def _group_names(regex: Json) -> dict[int, str]:
    named = javaregex.group_names(str(regex))
    return {number: name for name, number in named.items()}


def _regex_arguments(env: Env, value: Json, arguments: Arguments) -> Iterator[tuple[Json, Json]]:
    for regex in arguments[0].run(env, value):
        if len(arguments) > 1:
            for flags in arguments[1].run(env, value):
                yield regex, flags
        elif is_array(regex) and regex:
            parts = items_of(regex)
            yield parts[0], parts[1] if len(parts) > 1 else None
        else:
            yield regex, None


@native("test/1", "test/2")
def _test(env: Env, value: Json, arguments: Arguments) -> Iterator[Json]:
    for regex, flags in _regex_arguments(env, value, arguments):
        yield bool(_found(env, value, regex, flags, 1))


@native("match/1", "match/2")
def _match(env: Env, value: Json, arguments: Arguments) -> Iterator[Json]:
    for regex, flags in _regex_arguments(env, value, arguments):
        for match in _found(env, value, regex, flags, 1):
            yield _match_object(match, _group_names(regex))


def _captured(match: javaregex.Match, names: dict[int, str]) -> dict[str, Json]:
    return {name: match[1][number] for number, name in sorted(names.items())}


@native("capture/1", "capture/2")
def _capture(env: Env, value: Json, arguments: Arguments) -> Iterator[Json]:
    for regex, flags in _regex_arguments(env, value, arguments):
        for match in _found(env, value, regex, flags, 1):
            yield _captured(match, _group_names(regex))


@native("scan/1", "scan/2")
def _scan(env: Env, value: Json, arguments: Arguments) -> Iterator[Json]:
    for regex, flags in _regex_arguments(env, value, arguments):
        for match in _found(env, value, regex, str(flags or "") + "g", 0):
            groups = match[1][1:]
            yield list(groups) if groups and match[0] != match[2] else match[1][0]


def _parts(env: Env, value: Json, regex: Json, flags: Json) -> list[Json]:
    found = _found(env, value, regex, str(flags or "") + "g", 0)
    parts: list[Json] = []
    position = 0
    for start, _, end, _ in found:
        parts.append(cast("str", value)[position:start])
        position = end
    parts.append(cast("str", value)[position:])
    return parts


@native("splits/1", "splits/2")
def _splits(env: Env, value: Json, arguments: Arguments) -> Iterator[Json]:
    for regex, flags in _regex_arguments(env, value, arguments):
        yield from _parts(env, value, regex, flags)


@native("split/2")
def _split_by(env: Env, value: Json, arguments: Arguments) -> Iterator[Json]:
    for regex, flags in _regex_arguments(env, value, arguments):
        yield _parts(env, value, regex, flags)


def _substitute(env: Env, value: Json, arguments: Arguments, everywhere: bool) -> Iterator[Json]:
    regexes = (arguments[0], *arguments[2:])
    for regex, flags in _regex_arguments(env, value, regexes):
        modes = str(flags or "") + ("g" if everywhere else "")
        names = _group_names(regex)
        results: list[str] = [""]
        position = 0
        for match in _found(env, value, regex, modes, 1):
            before = cast("str", value)[position : match[0]]
            position = match[2]
            texts = list(arguments[1].run(env, _captured(match, names)))
            if not all(isinstance(text, str) for text in texts):
                raise JqError("the replacement is not a string")
            results = [start + before + cast("str", text) for text in texts for start in results]
            env.budget.spend(sum(map(len, results)))
        for result in results:
            yield result + cast("str", value)[position:]


@native("sub/2", "sub/3")
def _sub(env: Env, value: Json, arguments: Arguments) -> Iterator[Json]:
    return _substitute(env, value, arguments, everywhere=False)


@native("gsub/2", "gsub/3")
def _gsub(env: Env, value: Json, arguments: Arguments) -> Iterator[Json]:
    return _substitute(env, value, arguments, everywhere=True)
