"""Numbers in patterns of Java's `DecimalFormat`, with the symbols of en_US."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal
from functools import lru_cache

from runner.expr.faults import Fault

_CONTEXT = Context(prec=5000, rounding=ROUND_HALF_EVEN)
_MOST_DIGITS = 400
_ANY_FRACTION = 340  # the empty pattern


class _Pattern:
    """A parsed pattern: counts of digits, the texts around the number."""

    __slots__ = (
        "exponent_digits",
        "group",
        "max_fraction",
        "max_integer",
        "min_fraction",
        "min_integer",
        "negative_prefix",
        "negative_suffix",
        "prefix",
        "scale",
        "show_point",
        "suffix",
    )

    def __init__(self, text: str) -> None:
        self.scale = 0
        self.prefix, body, rest = self._affix(text, 0)
        self._number(body)
        if not text:
            self.group, self.max_fraction = 3, _ANY_FRACTION
        self.suffix, negative = self._suffix(rest)
        self.negative_prefix, self.negative_suffix = "-" + self.prefix, self.suffix
        if negative is not None:
            prefix, _, rest = self._affix(negative, 0)
            suffix, more = self._suffix(rest)
            if more is not None:
                raise Fault(f"Malformed pattern: unquoted ';' in \"{text}\"")
            if (prefix, suffix) != (self.prefix, self.suffix):
                self.negative_prefix, self.negative_suffix = prefix, suffix

    def _affix(self, text: str, start: int) -> tuple[str, str, str]:
        """Read a prefix and the number after it; give the prefix, the number and the rest."""
        prefix, index = self._literal(text, start, "#0,.")
        end = index
        while end < len(text) and text[end] in "#0,.":
            end += 1
        if end < len(text) and text[end] == "E":
            end += 1
            while end < len(text) and text[end] == "0":
                end += 1
        return prefix, text[index:end], text[end:]

    def _suffix(self, text: str) -> tuple[str, str | None]:
        """Read a suffix; give it and the negative pattern after `;`, if there is one."""
        suffix, index = self._literal(text, 0, "#0,.;")
        if index == len(text):
            return suffix, None
        if text[index] != ";":
            raise Fault(f"Malformed pattern: unquoted special character '{text[index]}'")
        return suffix, text[index + 1 :]

    def _literal(self, text: str, index: int, stop: str) -> tuple[str, int]:
        """Read text up to one of the characters `stop`; quotes, `%`, `‰` and `¤` are special."""
        parts: list[str] = []
        while index < len(text) and text[index] not in stop:
            char = text[index]
            index += 1
            if char == "'":
                end = text.find("'", index)
                if end < 0:
                    raise Fault("Malformed pattern: a quote is not closed")
                parts.append(text[index:end] or "'")
                index = end + 1
            elif char in "%‰":
                if self.scale and char in parts:
                    raise Fault("Too many percent/per mille characters in pattern")
                self.scale = 2 if char == "%" else 3
                parts.append(char)
            else:
                doubled = char == "¤" and text[index : index + 1] == "¤"
                index += doubled
                parts.append("USD" if doubled else "$" if char == "¤" else char)
        return "".join(parts), index

    def _number(self, body: str) -> None:
        mantissa, mark, exponent = body.partition("E")
        if mark and not exponent:
            raise Fault("Malformed exponential pattern")
        self.exponent_digits = len(exponent)
        whole, point, fraction = mantissa.partition(".")
        if "." in fraction or "," in fraction:
            raise Fault(f'Malformed pattern "{body}"')
        digits = whole.replace(",", "")
        if "#" in digits.lstrip("#") or "0" in fraction.lstrip("0"):
            raise Fault(f'Malformed pattern "{body}"')
        if len(digits) + len(fraction) > _MOST_DIGITS:
            raise Fault(f"A number format has at most {_MOST_DIGITS} digits")
        if whole.endswith(","):
            raise Fault(f'Malformed pattern "{body}"')
        self.group = len(whole) - whole.rfind(",") - 1 if "," in whole else 0
        self.min_integer, self.max_integer = digits.count("0"), len(digits)
        self.min_fraction, self.max_fraction = fraction.count("0"), len(fraction)
        if point and "0" not in digits + fraction and digits + fraction:
            # `#.##` means `0.##`, and `.##` means `.0#`: Java's applyPattern.
            self.min_integer = 1 if digits else 0
            self.min_fraction = 0 if digits else 1
        self.show_point = bool(point) and not fraction
        if self.group and mark:
            raise Fault("Malformed exponential pattern: grouping")


@lru_cache(128)
def _pattern(text: str) -> _Pattern:
    return _Pattern(text)


def format_number(value: int | float, pattern: str) -> str:
    """Give `value` in the pattern; ties between two numbers go to the even one.

    Raises:
        Fault: the pattern is malformed.
    """
    shape = _pattern(pattern)
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return _around(shape, "∞", value < 0)
    if isinstance(value, float):
        # Java multiplies in doubles, and then rounds the exact value of the double.
        scaled = value * 10.0**shape.scale if shape.scale else value
        exact = _CONTEXT.create_decimal(scaled)
        shortest = Decimal(repr(float(scaled)))
        if scaled == scaled and abs(scaled) != float("inf") and _places(shortest) <= _most(shape):
            exact = shortest  # nothing to round: its digits are those that are printed
    else:
        exact = _CONTEXT.create_decimal(value).scaleb(shape.scale, _CONTEXT)
    negative = exact.is_signed()
    size = exact.copy_abs()
    text = _scientific(shape, size) if shape.exponent_digits else _plain(shape, size)
    return _around(shape, text, negative)


def _places(number: Decimal) -> int:
    return max(0, -int(number.as_tuple().exponent))


def _most(shape: _Pattern) -> int:
    """Give how many digits after the point a number may have without being rounded."""
    return -1 if shape.exponent_digits else shape.max_fraction


def _around(shape: _Pattern, text: str, negative: bool) -> str:
    if negative:
        return f"{shape.negative_prefix}{text}{shape.negative_suffix}"
    return f"{shape.prefix}{text}{shape.suffix}"


def _plain(shape: _Pattern, size: Decimal) -> str:
    rounded = size.quantize(Decimal(1).scaleb(-shape.max_fraction), context=_CONTEXT)
    whole, _, fraction = format(rounded, "f").partition(".")
    whole = whole.lstrip("0").rjust(shape.min_integer, "0")
    fraction = _trimmed(fraction, shape.min_fraction)
    if not whole and not fraction:
        whole = "0"
    if shape.group:
        whole = _grouped(whole, shape.group)
    return whole + ("." + fraction if fraction or shape.show_point else "")


def _trimmed(fraction: str, least: int) -> str:
    """Drop zeros at the end of the digits after the point, down to `least` digits."""
    return fraction[:least] + fraction[least:].rstrip("0")


def _grouped(digits: str, size: int) -> str:
    head = len(digits) % size
    groups = [digits[:head]] if head else []
    groups += [digits[start : start + size] for start in range(head, len(digits), size)]
    return ",".join(groups)


def _scientific(shape: _Pattern, size: Decimal) -> str:
    """Give `size` as digits and `E`; more `#` than `0` before the point: exponents in steps."""
    least, most = shape.min_integer, shape.max_integer
    places = most + shape.max_fraction
    if places:
        size = Context(prec=places, rounding=ROUND_HALF_EVEN).plus(size)
    digits = "".join(map(str, size.as_tuple().digits)).rstrip("0") if size else ""
    point = size.adjusted() + 1 if size else 0
    if most > 1 and most > least:
        power = (point - 1) // most * most if size else 0
        whole_count = point - power if size else 1
    else:
        power = point - least if size else 0
        whole_count = least
    count = max(len(digits), least + shape.min_fraction, whole_count)
    digits = digits.ljust(count, "0")
    whole, fraction = digits[:whole_count], digits[whole_count:]
    sign = "-" if power < 0 else ""
    exponent = f"E{sign}{str(abs(power)).rjust(shape.exponent_digits, '0')}"
    return whole + ("." + fraction if fraction or shape.show_point else "") + exponent
