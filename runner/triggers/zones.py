"""Time zones by the names that Java takes, and moments written with them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from runner.patterns import regex

_OFFSET = regex(r"(?:UTC|GMT|UT)?(?:([-+])(\d{1,2})(?::?(\d{2}))?(?::?(\d{2}))?)?")
_LOCALTIME = Path("/etc/localtime")


@lru_cache(maxsize=256)
def zone(name: str) -> tzinfo:
    """The time zone of that name: a place, `UTC`, `Z`, or an offset such as `+02:00`.

    Raises:
        ValueError: there is no such zone, or this machine has no data about it.
    """
    if name in ("Z", "Etc/UTC"):
        return UTC
    found = _OFFSET.fullmatch(name)
    if found is not None and name:
        sign, *parts = found.groups()
        hours, minutes, seconds = (int(part or 0) for part in parts)
        if sign is None or not (hours or minutes or seconds):
            return UTC
        size = timedelta(hours=hours, minutes=minutes, seconds=seconds)
        return timezone(-size if sign == "-" else size)
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError) as error:
        raise ValueError(
            f"unknown time zone '{name}' (if the name is right, this machine has no time zone "
            "data: install its package tzdata)"
        ) from error


def local_zone(environ: Mapping[str, str]) -> tzinfo:
    """The zone of schedules that name none: `TZ`, else the machine's, else UTC."""
    names = [environ.get("TZ", "").lstrip(":")]
    if _LOCALTIME.is_symlink():
        _, _, place = str(_LOCALTIME.readlink()).rpartition("zoneinfo/")
        names.append(place)
    for name in filter(None, names):
        try:
            return zone(name)
        except ValueError:
            continue
    return UTC


def zoned_text(moment: datetime, place: tzinfo) -> str:
    """A moment as ISO text with the offset that `place` has then; `Z` for none."""
    text = moment.astimezone(place).isoformat()
    return f"{text[:-6]}Z" if text.endswith("+00:00") else text
