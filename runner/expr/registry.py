"""Which filters, functions and tests there are, and where each one lives.

A family is one module; it registers its members with the decorators below when it is imported,
which happens when one of them is first used. The tables name every member, so that an unknown
name is known to be unknown without importing anything. `since` and `until` are Kestra versions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Final

from runner.expr.context import Arguments

FilterBody = Callable[[object, Arguments], object]
FunctionBody = Callable[[Arguments], object]

FAMILIES: Final[Mapping[str, Mapping[str, str]]] = {
    "filter": {
        "runner.expr.filters.strings": (
            "upper lower title capitalize trim abbreviate replace slugify substringBefore "
            "substringAfter substringBeforeLast substringAfterLast startsWith endsWith escapeChar "
            "indent nindent string className nl2br regexMatch regexReplace regexExtract"
        ),
        "runner.expr.filters.encodings": (
            "base64encode base64decode md5 sha1 sha256 sha512 urlencode urldecode"
        ),
        "runner.expr.filters.collections": (
            "default length first last join split sort rsort reverse slice merge chunk flatten "
            "distinct keys values"
        ),
        "runner.expr.filters.numbers": "abs number numberFormat",
        "runner.expr.filters.data": "toJson json jq yaml toIon",
        "runner.expr.filters.times": (
            "date dateAdd timestamp timestampMilli timestampMicro timestampNano"
        ),
    },
    "function": {
        "runner.expr.functions.stored": (
            "secret kv read fileURI fileSize fileExists isFileEmpty errorLogs http env"
        ),
        "runner.expr.functions.data": "fromJson json yaml fromIon loopOutputs",
        "runner.expr.functions.rendering": (
            "render renderOnce printContext fetchContext currentEachOutput tasksWithState "
            "block parent"
        ),
        "runner.expr.functions.chance": "uuid id ksuid nanoId randomInt randomPort",
        "runner.expr.functions.secrecy": "encrypt decrypt",
        "runner.expr.functions.numbers": "max min range",
        "runner.expr.functions.calendar": (
            "now isWeekend dayOfWeek dayOfMonth monthOfYear hourOfDay isDateBefore isDateAfter "
            "isDateBetween isDayWeekInMonth isLastWorkingDay isPublicHoliday"
        ),
    },
    "test": {"runner.expr.checks": "defined null empty even odd iterable map json"},
}


class Member:
    """A filter, function or test: its name, its arguments and what it does.

    `arguments` is None for one that takes any number of unnamed arguments (which a filter then
    ignores). `since` is the Kestra version it came with, when that is later than 1.2.
    """

    __slots__ = ("arguments", "body", "kind", "name", "since")

    def __init__(
        self,
        kind: str,
        name: str,
        arguments: tuple[str, ...] | None,
        body: Callable[..., object],
        since: str,
    ) -> None:
        self.kind = kind
        self.name = name
        self.arguments = arguments
        self.body = body
        self.since = since


_HOMES: Final = {
    kind: {name: module for module, names in families.items() for name in names.split()}
    for kind, families in FAMILIES.items()
}
_MEMBERS: Final[dict[tuple[str, str], Member]] = {}


def names(kind: str) -> list[str]:
    """Give the names of all filters, functions or tests (`kind`)."""
    return sorted(_HOMES[kind])


def registered() -> set[tuple[str, str]]:
    """Give the kind and name of what the families imported so far have registered."""
    return set(_MEMBERS)


def find(kind: str, name: str) -> Member | None:
    """Give the filter, function or test `name`, or None when there is none."""
    member = _MEMBERS.get((kind, name))
    if member is None and name in _HOMES[kind]:
        import_module(_HOMES[kind][name])
        member = _MEMBERS[(kind, name)]
    return member


def _register(
    kind: str, name: str, arguments: str | None, since: str
) -> Callable[[Callable[..., object]], None]:
    def take(body: Callable[..., object]) -> None:
        if (kind, name) in _MEMBERS:
            raise ValueError(
                f"two {kind}s are called {name}: {_MEMBERS[(kind, name)].body}, {body}"
            )
        names = None if arguments is None else tuple(arguments.split())
        _MEMBERS[(kind, name)] = Member(kind, name, names, body, since)

    return take


def filter_(
    name: str, arguments: str | None = None, *, since: str = ""
) -> Callable[[FilterBody], FilterBody]:
    """Register the decorated function as the filter `name`.

    It is given the input and the arguments. `arguments` are their names, apart by blanks; None: it
    has none and ignores what it is given.
    """
    take = _register("filter", name, arguments, since)

    def decorate(body: FilterBody) -> FilterBody:
        take(body)
        return body

    return decorate


def function(
    name: str, arguments: str | None = "", *, since: str = ""
) -> Callable[[FunctionBody], FunctionBody]:
    """Register the decorated function as the function `name`; None: any number of arguments."""
    take = _register("function", name, arguments, since)

    def decorate(body: FunctionBody) -> FunctionBody:
        take(body)
        return body

    return decorate


def test(name: str) -> Callable[[FilterBody], FilterBody]:
    """Register the decorated function as the test `name`, as in `x is name`."""
    take = _register("test", name, None, "")

    def decorate(body: FilterBody) -> FilterBody:
        take(body)
        return body

    return decorate
