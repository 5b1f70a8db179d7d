"""Filters on strings."""

from __future__ import annotations

import re
from collections.abc import Callable

from runner.expr import javaregex
from runner.expr.access import trimmed
from runner.expr.context import Arguments
from runner.expr.faults import Fault
from runner.expr.registry import filter_
from runner.expr.text import cut, string_form, units
from runner.expr.values import class_name, is_list, is_map, is_text


def as_text(value: object, arguments: Arguments) -> str:
    """Give the string form of a filter's input."""
    return value if type(value) is str else string_form(value, arguments.context.budget)


def only_text(value: object, arguments: Arguments) -> str:
    """Give the input of a filter that takes nothing but strings."""
    if is_text(value):
        return value
    raise Fault(f"{arguments.called} can only be applied to strings, not to {class_name(value)}.")


@filter_("upper")
def upper(value: object, arguments: Arguments) -> object:
    """The string form in upper case.

    >>> {{ 'aBc' | upper }} {{ true | upper }}
    ABC TRUE
    """
    return None if value is None else as_text(value, arguments).upper()


@filter_("lower")
def lower(value: object, arguments: Arguments) -> object:
    """The string form in lower case.

    >>> {{ 'aBc' | lower }}
    abc
    """
    return None if value is None else as_text(value, arguments).lower()


@filter_("title")
def title(value: object, arguments: Arguments) -> object:
    """The first letter of each word in upper case, the rest as it is.

    >>> {{ 'hELLO a' | title }}
    HELLO A
    """
    if value is None:
        return None
    text = only_text(value, arguments)
    return re.sub(r"(?<!\S)\S", lambda found: _titled(found.group()), text)


@filter_("capitalize")
def capitalize(value: object, arguments: Arguments) -> object:
    """The first letter in upper case, the rest as it is.

    >>> {{ ' ab cd' | capitalize }}
     Ab cd
    """
    if value is None:
        return None
    text = only_text(value, arguments)
    return re.sub(r"\S", lambda found: _titled(found.group()), text, count=1)


def _titled(letter: str) -> str:
    """Java changes one character into one: `ß` stays."""
    changed = letter.title()
    return changed if len(changed) == 1 else letter


@filter_("trim")
def trim(value: object, arguments: Arguments) -> object:
    """The string without blanks and control characters at its ends.

    >>> [{{ ' a ' | trim }}]
    [a]
    """
    return None if value is None else trimmed(only_text(value, arguments))


@filter_("abbreviate", "length")
def abbreviate(value: object, arguments: Arguments) -> object:
    """The string cut to `length` characters, `...` included. One of that very length is cut too.

    >>> {{ 'abcdefghij' | abbreviate(6) }} {{ 'abc' | abbreviate(6) }}
    abc... abc
    """
    if value is None:
        return None
    text, width = only_text(value, arguments), arguments.long("length")
    if width is None:
        raise Fault("The 'abbreviate' filter expects an argument 'length'.")
    if width < 0:
        raise Fault("Invalid argument to abbreviate filter; must be greater than zero")
    length = units(text)
    if length < width or length <= 3:
        return text
    return cut(text, 0, width) if width <= 3 else cut(text, 0, width - 3) + "..."


@filter_("replace", "replace_pairs regexp")
def replace(value: object, arguments: Arguments) -> object:
    """Each key of a map replaced by its value, one pair after the other.

    With `regexp=true` the keys are Java regular expressions, and `$1` is a group. In lists and maps
    each value is changed.

    >>> {{ 'a-b c' | replace({'-': '+'}) }}
    a+b c
    >>> {{ 'k=v' | replace({'(.)=(.)': '$2=$1'}, regexp=true) }}
    v=k
    """
    if value is None:
        return None
    if arguments.get("replace_pairs") is None:
        raise Fault("The argument 'replace_pairs' is required.")
    regexp = arguments.boolean("regexp", False)
    pairs: list[tuple[str, str]] = []
    for key, replacement in arguments.mapping("replace_pairs").items():
        if replacement is None:
            raise Fault(f"The 'replace' filter has null as the replacement of '{key}'.")
        pairs.append((as_text(key, arguments), as_text(replacement, arguments)))
    spend = arguments.context.budget.spend

    def change(text: str) -> str:
        for old, new in pairs:
            if regexp:
                text = javaregex.replace_all(old, new, text)
            else:
                places = text.count(old)
                if places and len(new) > len(old):
                    spend(places * (len(new) - len(old)))
                text = text.replace(old, new)
            spend(len(text))
        return text

    return _deep(value, change, arguments)


def _deep(value: object, change: Callable[[str], str], arguments: Arguments) -> object:
    """Change the string form of every value inside lists and maps; null is an error there."""
    if is_map(value):
        arguments.context.budget.spend_items(len(value) + 1)
        return {key: _deep(item, change, arguments) for key, item in value.items()}
    if is_list(value):
        arguments.context.budget.spend_items(len(value) + 1)
        return [_deep(item, change, arguments) for item in value]
    if value is None:
        raise Fault(f"{arguments.called} can not be applied to null.")
    return change(as_text(value, arguments))


@filter_("escapeChar", "type")
def escape_char(value: object, arguments: Arguments) -> object:
    """Quotes escaped for `type`: `single`, `double` or `shell`. Goes into lists and maps.

    >>> {{ "it's" | escapeChar('single') }} {{ "it's" | escapeChar('shell') }}
    it\\'s it'\\''s
    """
    if value is None:
        return None
    if "type" not in arguments:
        raise Fault("The 'escapeChar' filter expects an argument 'type'.")
    quoting = str(arguments.get("type")).lower()
    if quoting not in _QUOTES:
        raise Fault(
            "The 'escapeChar' filter expects the value of 'type' to be either 'single', 'double', "
            "or 'shell'."
        )
    old, new = _QUOTES[quoting]
    return _deep(value, lambda text: text.replace(old, new), arguments)


_QUOTES = {"single": ("'", "\\'"), "double": ('"', '\\"'), "shell": ("'", "'\\''")}


@filter_("slugify")
def slugify(value: object, arguments: Arguments) -> object:
    """Lower case letters, digits and dashes only; accents are dropped.

    >>> {{ 'Déjà Vu!' | slugify }}
    deja-vu
    """
    return None if value is None else slug(as_text(value, arguments))


def slug(text: str) -> str:
    """Give the slug of `text`, as file paths in Kestra's storage have it."""
    from unicodedata import normalize

    text = normalize("NFD", re.sub(r"[ \t\n\x0b\f\r]", "-", text))
    text = re.sub(r"[^A-Za-z0-9_-]", "", text).replace("_", "-")
    return re.sub(r"-{2,}", "-", text).removeprefix("-").removesuffix("-").lower()


def _split_at(name: str, keep_before: bool, last: bool) -> None:
    side, place = ("before", "after")[not keep_before], ("first", "last")[last]
    absent = "the whole string" if keep_before else "nothing"
    example = (
        "'a.b.c'",
        {
            (True, False): "a",
            (False, False): "b.c",
            (True, True): "a.b",
            (False, True): "c",
        }[(keep_before, last)],
    )

    def body(value: object, arguments: Arguments) -> object:
        if value is None:
            return None
        text = as_text(value, arguments)
        if "separator" not in arguments:
            raise Fault(f"{arguments.called} expects an argument 'separator'.")
        separator = arguments.text("separator")
        if separator is None:
            return text if keep_before else ""
        if not separator:
            return text if keep_before is last else ""
        place = text.rfind(separator) if last else text.find(separator)
        if place < 0:
            return text if keep_before else ""
        return text[:place] if keep_before else text[place + len(separator) :]

    body.__doc__ = f"""What is {side} the {place} `separator`; {absent} when there is none.

    >>> {{{{ {example[0]} | {name}('.') }}}}
    {example[1]}
    """
    filter_(name, "separator")(body)


_split_at("substringBefore", keep_before=True, last=False)
_split_at("substringAfter", keep_before=False, last=False)
_split_at("substringBeforeLast", keep_before=True, last=True)
_split_at("substringAfterLast", keep_before=False, last=True)


@filter_("startsWith", "value")
def starts_with(value: object, arguments: Arguments) -> object:
    """True when the string form begins with `value`; null is an error.

    >>> {{ 123 | startsWith('12') }}
    true
    """
    return as_text(_present(value, arguments), arguments).startswith(_part(arguments))


@filter_("endsWith", "value")
def ends_with(value: object, arguments: Arguments) -> object:
    """True when the string form ends with `value`; null is an error.

    >>> {{ 'a.py' | endsWith('.py') }}
    true
    """
    return as_text(_present(value, arguments), arguments).endswith(_part(arguments))


def _present(value: object, arguments: Arguments) -> object:
    if value is None:
        raise Fault(f"{arguments.called} can not be applied to null.")
    return value


def _part(arguments: Arguments) -> str:
    """Give the string form of the argument `value`, which must not be absent or null."""
    part = arguments.get("value")
    if part is None:
        raise Fault(f"{arguments.called} expects an argument 'value'.")
    return as_text(part, arguments)


@filter_("indent", "amount prefix")
def indent(value: object, arguments: Arguments) -> object:
    """Every line but the first moved to the right: `prefix` (a blank), `amount` times.

    >>> {{ "a
    >>> b" | indent(2) }}
    a
      b
    """
    return _indented(value, arguments, new_line=False)


@filter_("nindent", "amount prefix")
def nindent(value: object, arguments: Arguments) -> object:
    """A line break, and then every line moved to the right: `prefix` (a blank), `amount` times.

    >>> key:{{ 'a' | nindent(2) }}
    key:
      a
    """
    return _indented(value, arguments, new_line=True)


def _indented(value: object, arguments: Arguments, new_line: bool) -> object:
    if value is None:
        return None
    text = as_text(value, arguments)
    if not text:
        return text
    amount = arguments.long("amount")
    if amount is None:
        raise Fault(f"{arguments.called} expects an integer as argument 'amount'.")
    if amount < 0:
        raise Fault(f"{arguments.called} expects a positive integer >=0 as argument 'amount'.")
    prefix = arguments.needed_text("prefix") if "prefix" in arguments else " "
    breaks = next((style for style in ("\r\n", "\n\r", "\n", "\r") if style in text), "\n")
    if new_line:
        text = breaks + text
    places = text.count(breaks)
    if not places:
        return text
    arguments.context.budget.spend(places * amount * max(len(prefix), 1))
    return text.replace(breaks, breaks + prefix * amount)


@filter_("string")
def string(value: object, arguments: Arguments) -> object:
    """The string form.

    >>> {{ [1, 'a'] | string }}
    [1, a]
    """
    return None if value is None else as_text(value, arguments)


@filter_("className")
def class_name_filter(value: object, _: Arguments) -> object:
    """The name of the Java class that Kestra has for the value.

    >>> {{ 5 | className }} {{ 'a' | className }}
    java.lang.Long java.lang.String
    """
    return None if value is None else class_name(value)


@filter_("nl2br")
def nl2br(value: object, arguments: Arguments) -> object:
    """Line breaks as `<br />`.

    >>> {{ "a
    >>> b" | nl2br }}
    a<br />b
    """
    if value is None:
        return None
    return re.sub(r"\r\n?|\n", "<br />", only_text(value, arguments))


@filter_("regexMatch", "regex", since="2.0")
def regex_match(value: object, arguments: Arguments) -> object:
    """True when the Java regular expression is found in the string.

    >>> {{ 'order-42' | regexMatch('[0-9]+') }}
    true
    """
    if value is None:
        return None
    return javaregex.search(arguments.needed_text("regex"), as_text(value, arguments)) is not None


@filter_("regexReplace", "regex replacement", since="2.0")
def regex_replace(value: object, arguments: Arguments) -> object:
    """What the Java regular expression finds, replaced; `$1` is a group.

    >>> {{ 'order-42' | regexReplace('([0-9]+)', '<$1>') }}
    order-<42>
    """
    if value is None:
        return None
    regex, replacement = arguments.needed_text("regex"), arguments.needed_text("replacement")
    return javaregex.replace_all(regex, replacement, as_text(value, arguments))


@filter_("regexExtract", "regex group", since="2.0")
def regex_extract(value: object, arguments: Arguments) -> object:
    """The first match of the Java regular expression, or its `group`; null when there is none.

    >>> {{ 'order-42' | regexExtract('([a-z]+)-([0-9]+)', 2) }}
    42
    """
    if value is None:
        return None
    found = javaregex.search(arguments.needed_text("regex"), as_text(value, arguments))
    group = arguments.integer("group") or 0
    if found is None:
        return None
    if not 0 <= group < len(found):
        raise Fault(f"No group {group}")
    return found[group]
