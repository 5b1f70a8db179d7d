"""The values of the language that plain Python has no type for.

Everything else is plain data: `str`, `int`, `float`, `bool`, `None`, `list`, `dict` (any `Mapping`
will do, so that a context can be lazy). Kestra's engine is Java and some of Java's types show:
what `split` gives is an array and not a list, what `first` takes from a string is no string.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, TypeGuard

if TYPE_CHECKING:
    from runner.expr.limits import Budget

NANOS = 1_000_000_000
DAY_NANOS = 86_400 * NANOS


class Long(int):
    """An integer literal, or a number made of one: Java's `Long` where JSON gives `Integer`."""

    __slots__ = ()


class Char(str):
    """One character taken out of a string: it prints like a string and never equals one."""

    __slots__ = ()


class Float32(float):
    """Java's `Float`, which `number` gives: its value is already rounded to 32 bits."""

    __slots__ = ()

    @classmethod
    def of(cls, value: float) -> Float32:
        """Round `value` to 32 bits; what is too large becomes infinite."""
        from struct import error, pack, unpack

        try:
            return cls(unpack("f", pack("f", value))[0])
        except (OverflowError, error):
            return cls(float("inf") if value > 0 else float("-inf"))


class Array(tuple[object, ...]):
    """A Java array (what `split` gives): it has items, but it is no list."""

    __slots__ = ()


class View(tuple[object, ...]):
    """The keys or the values of a map: a collection without order, so no list either."""

    __slots__ = ()


class Entry:
    """One entry of a map, as `for` over the map gives it."""

    __slots__ = ("key", "value")

    def __init__(self, key: object, value: object) -> None:
        self.key = key
        self.value = value


class Loop:
    """The variable `loop` inside `for`."""

    __slots__ = ("index", "length")

    def __init__(self, length: int) -> None:
        self.index = 0
        self.length = length

    def fields(self) -> dict[str, object]:
        """Give what `loop.x` may ask for."""
        return {
            "index": self.index,
            "length": self.length,
            "first": self.index == 0,
            "last": self.index == self.length - 1,
            "revindex": self.length - self.index - 1,
        }


class Instant:
    """A point in time, to the nanosecond: `nanos` since 1970-01-01T00:00:00Z."""

    __slots__ = ("nanos",)

    def __init__(self, nanos: int) -> None:
        self.nanos = nanos

    @classmethod
    def of(cls, moment: datetime) -> Instant:
        """Convert an aware `datetime`."""
        since = moment - datetime(1970, 1, 1, tzinfo=UTC)
        return cls(((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1000)

    @classmethod
    def parse(cls, text: str) -> Instant:
        """Read the ISO form `2024-05-06T07:08:09.123456789Z`.

        Raises:
            ValueError: the text has another form.
        """
        head, dot, fraction = text.removesuffix("Z").partition(".")
        whole = cls.of(datetime.fromisoformat(head + "+00:00"))
        return cls(whole.nanos + int(fraction.ljust(9, "0")[:9])) if dot else whole

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Instant) and self.nanos == other.nanos

    def __hash__(self) -> int:
        return hash(self.nanos)

    def __str__(self) -> str:
        days, rest = divmod(self.nanos, DAY_NANOS)
        return f"{date_of(days).isoformat()}T{time_text(rest, seconds=True)}Z"


class LocalDateTime:
    """A date and a time of day without a zone, to the nanosecond."""

    __slots__ = ("day", "nanos")

    def __init__(self, day: date, nanos: int) -> None:
        self.day = day
        self.nanos = nanos

    @classmethod
    def of(cls, moment: datetime) -> LocalDateTime:
        """Convert a naive `datetime`."""
        seconds = (moment.hour * 60 + moment.minute) * 60 + moment.second
        return cls(moment.date(), seconds * NANOS + moment.microsecond * 1000)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LocalDateTime) and (self.day, self.nanos) == (
            other.day,
            other.nanos,
        )

    def __hash__(self) -> int:
        return hash((self.day, self.nanos))

    def __str__(self) -> str:
        return f"{self.day.isoformat()}T{time_text(self.nanos, seconds=False)}"

    def json_text(self) -> str:
        """Give the form inside JSON, which always has seconds."""
        return f"{self.day.isoformat()}T{time_text(self.nanos, seconds=True)}"


class Duration:
    """A length of time in nanoseconds."""

    __slots__ = ("nanos",)

    def __init__(self, nanos: int) -> None:
        self.nanos = nanos

    @classmethod
    def of(cls, length: timedelta) -> Duration:
        """Convert a `timedelta`."""
        seconds = length.days * 86_400 + length.seconds
        return cls((seconds * 1_000_000 + length.microseconds) * 1000)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Duration) and self.nanos == other.nanos

    def __hash__(self) -> int:
        return hash(self.nanos)

    def __str__(self) -> str:
        """Give Java's form: `PT1H30M`, `PT0S`, `PT-1.5S`."""
        sign = -1 if self.nanos < 0 else 1
        seconds, nanos = divmod(abs(self.nanos), NANOS)
        hours, minutes, seconds = seconds // 3600, seconds % 3600 // 60, seconds % 60
        text = "PT"
        text += f"{sign * hours}H" if hours else ""
        text += f"{sign * minutes}M" if minutes else ""
        if seconds or nanos or text == "PT":
            fraction = f".{nanos:09}".rstrip("0") if nanos else ""
            text += f"{'-' if sign < 0 and (seconds or nanos) else ''}{seconds}{fraction}S"
        return text

    def json_text(self) -> str:
        """Give the number of seconds, with nine digits as Kestra's JSON has them."""
        if not self.nanos:
            return "0.0"
        seconds, nanos = divmod(abs(self.nanos), NANOS)
        return f"{'-' if self.nanos < 0 else ''}{seconds}.{nanos:09}"


def date_of(days: int) -> date:
    """Give the date `days` after 1970-01-01."""
    return date.fromordinal(days + 719_163)


def time_text(nanos: int, *, seconds: bool) -> str:
    """Give a time of day as `07:08:09.120`: fractions in groups of three, none when zero.

    Without `seconds`, `:00` is left out when there is no fraction either.
    """
    whole, fraction = divmod(nanos, NANOS)
    text = f"{whole // 3600:02}:{whole % 3600 // 60:02}"
    if seconds or whole % 60 or fraction:
        text += f":{whole % 60:02}"
    if not fraction:
        return text
    if not fraction % 1_000_000:
        return f"{text}.{fraction // 1_000_000:03}"
    if not fraction % 1000:
        return f"{text}.{fraction // 1000:06}"
    return f"{text}.{fraction:09}"


def is_list(value: object) -> TypeGuard[list[object] | tuple[object, ...]]:
    """Tell whether `value` is a list (a Java array, or the keys of a map, is none)."""
    return isinstance(value, list) or (
        isinstance(value, tuple) and not isinstance(value, (Array, View))
    )


def is_collection(value: object) -> TypeGuard[list[object] | tuple[object, ...]]:
    """Tell whether `value` is a list or the keys or values of a map."""
    return isinstance(value, list) or (isinstance(value, tuple) and not isinstance(value, Array))


def is_items(value: object) -> TypeGuard[list[object] | tuple[object, ...]]:
    """Tell whether `value` has items: a list, an array, keys or values of a map."""
    return isinstance(value, (list, tuple))


def is_map(value: object) -> TypeGuard[Mapping[object, object]]:
    """Tell whether `value` is a map."""
    return isinstance(value, (dict, Mapping))


def is_number(value: object) -> TypeGuard[int | float]:
    """Tell whether `value` is a number (a boolean is none); true for `Decimal` too."""
    if isinstance(value, bool):
        return False
    return isinstance(value, (int, float)) or is_decimal(value)


def is_decimal(value: object) -> bool:
    """Tell whether `value` is a `decimal.Decimal`, without importing it."""
    return type(value).__name__ == "Decimal" and type(value).__module__ == "decimal"


def is_text(value: object) -> TypeGuard[str]:
    """Tell whether `value` is a string (a single character taken out of one is none)."""
    return isinstance(value, str) and not isinstance(value, Char)


def temporal(value: object) -> Instant | LocalDateTime | date | Duration | None:
    """Give a value of time in this language's own types, or None for anything else."""
    if isinstance(value, datetime):
        return LocalDateTime.of(value) if value.tzinfo is None else Instant.of(value)
    if isinstance(value, timedelta):
        return Duration.of(value)
    if isinstance(value, (Instant, LocalDateTime, Duration, date)):
        return value
    return None


def plain(value: object, budget: Budget) -> object:
    """Give `value` in plain data only: what leaves the language with its type."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    budget.spend_items(1)
    if is_items(value):
        return [plain(item, budget) for item in value]
    if is_map(value):
        return {plain(key, budget): plain(item, budget) for key, item in value.items()}
    if isinstance(value, Long):
        return int(value)
    if isinstance(value, Char):
        return str(value)
    if isinstance(value, Float32):
        from runner.expr.text import float32_text

        return float(float32_text(value))
    if isinstance(value, Entry):
        return {plain(value.key, budget): plain(value.value, budget)}
    if isinstance(value, Loop):
        return value.fields()
    return value


_PLAIN = frozenset({str, int, float, bool, type(None)})


def class_name(value: object) -> str:
    """Give the name of the Java class that Kestra has for `value` (null: `null`)."""
    if value is None:
        return "null"
    for kind, name in _CLASSES:
        if isinstance(value, kind):
            return name
    if isinstance(value, int):
        bits = (value if value >= 0 else -value - 1).bit_length()
        return "java." + ("lang.Integer" if bits < 32 else "lang.Long" if bits < 64 else _BIG)
    if is_decimal(value):
        return "java.math.BigDecimal"
    return "java.util.LinkedHashMap" if is_map(value) else "java.lang.Object"


_BIG = "math.BigInteger"
_CLASSES: tuple[tuple[type, str], ...] = (
    (bool, "java.lang.Boolean"),
    (Char, "java.lang.Character"),
    (str, "java.lang.String"),
    (Long, "java.lang.Long"),
    (Float32, "java.lang.Float"),
    (float, "java.lang.Double"),
    (Array, "[Ljava.lang.String;"),
    (View, "java.util.LinkedHashMap$LinkedKeySet"),
    (list, "java.util.ArrayList"),
    (tuple, "java.util.ArrayList"),
    (Entry, "java.util.LinkedHashMap$Entry"),
    (Instant, "java.time.Instant"),
    (LocalDateTime, "java.time.LocalDateTime"),
    (Duration, "java.time.Duration"),
    (datetime, "java.time.Instant"),
    (date, "java.time.LocalDate"),
    (timedelta, "java.time.Duration"),
)
