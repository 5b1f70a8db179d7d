"""Names of months, days and zones, and how weeks are counted, by locale."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import cast

from runner.expr.dates.zones import Zone
from runner.expr.faults import Fault
from runner.patterns import regex

_LOCALE = regex(r"(?:([a-z]{2,3})(?:[_-]([A-Z]{2}|\d{3})(?:[_-]\w+)?|__\w+)?)?")
_HERE = Path(__file__).parent


class Locale:
    """A language and, perhaps, a region."""

    __slots__ = ("_names", "first_day", "id", "least_days")

    def __init__(self, id: str) -> None:
        data = _data()
        found = _LOCALE.fullmatch(id)
        if found is None:
            raise Fault(f"Invalid locale format: {id[:60]}")
        language, region = found.groups()
        locales = cast("dict[str, dict[str, object]]", data["locales"])
        self.id = id
        self._names = locales.get(_ALIASES.get(language, language or ""), locales["en"])
        weeks = cast("dict[str, list[int]]", data["weeks"])
        # A locale without a region counts weeks like en_US (seen in Kestra 1.2.14).
        self.first_day, self.least_days = weeks.get(region or "US", weeks[""])

    def names(self, kind: str) -> list[str]:
        """Give names of a kind: `months.fw` is months in the middle of a date, wide.

        The letter before the last is `f` (inside a date) or `s` (alone), the last one is `w`ide,
        `a`bbreviated or `n`arrow.
        """
        found = self._names.get(kind)
        if found is None:
            found = self._names[kind.replace(".s", ".f")]
        return cast("list[str]", found)

    def style(self, name: str) -> str:
        """Give the pattern of a date and time in a style: full, long, medium or short."""
        return cast("str", self._names[f"style.{name}"])


_ALIASES = {"no": "nb", "iw": "he", "in": "id"}


@lru_cache(1)
def _data() -> dict[str, object]:
    return json.loads((_HERE / "locales.json").read_text(encoding="utf-8"))


@lru_cache(64)
def locale(id: str) -> Locale:
    """Give the locale with this id (`fr`, `fr_FR`, `en-US`); unknown languages are English.

    Raises:
        Fault: the id has another form.
    """
    return Locale(id)


@lru_cache(1)
def _zone_names() -> dict[str, dict[str, list[str]]]:
    data = json.loads((_HERE / "zonenames.json").read_text(encoding="utf-8"))
    names: dict[str, dict[str, list[str]]] = {}
    for entry in data["names"]:
        for zone_id in entry["zones"]:
            names[zone_id] = entry
    for alias, target in data["aliases"].items():
        if target in names:
            names.setdefault(alias, names[target])
    return names


def zone_name(zone: Zone, nanos: int, *, long: bool, generic: bool = False) -> str:
    """Give the English name of a zone at an instant: `CET`, or `Central European Standard Time`."""
    if zone.is_offset:
        return zone.id
    if zone.id in ("UTC", "GMT", "UT", "Etc/UTC", "Etc/GMT", "Zulu", "Etc/UCT", "UCT"):
        if "GMT" in zone.id:
            return "Greenwich Mean Time" if long else "GMT"
        return "Coordinated Universal Time" if long else "UTC"
    names = _zone_names().get(zone.id)
    summer = zone.is_summer(nanos)
    if long:
        name = names["long"][2 if generic else int(summer)] if names else ""
        return name or gmt(zone.offset_at(nanos), long=True)
    short = names["short"][int(summer)] if names else ""
    if generic and len(short) == 3:
        return short[0] + short[2]
    short = short or zone.abbreviation(nanos)
    return gmt(zone.offset_at(nanos), long=True) if short[:1] in "+-" else short


def gmt(seconds: int, *, long: bool) -> str:
    """Give an offset as `GMT+1` or, when `long`, `GMT+01:00`; zero is `GMT`."""
    if not seconds:
        return "GMT"
    sign, size = "-" if seconds < 0 else "+", abs(seconds)
    hours, minutes, rest = size // 3600, size % 3600 // 60, size % 60
    text = f"GMT{sign}{hours:02}:{minutes:02}" if long else f"GMT{sign}{hours}"
    if not long and (minutes or rest):
        text += f":{minutes:02}"
    return text + (f":{rest:02}" if rest else "")
