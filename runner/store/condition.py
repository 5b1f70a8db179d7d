"""Whether a store was closed in order, and whether it is all there (reliability F)."""

from __future__ import annotations

import os
from pathlib import Path

from runner.store.database import StoreUnusable

_MARKER = "store"
_OPEN, _CLOSED = "open\n", "closed\n"


def was_left_open(root: Path) -> bool:
    """Whether the store in `root` was not closed in order the last time.

    Raises:
        StoreUnusable: there was a store, and its files are gone or empty.
    """
    marker = root / _MARKER
    try:
        text = marker.read_text()
    except FileNotFoundError:
        return False
    for name in ("state.db", "logs.db"):
        path = root / name
        if not path.exists() or path.stat().st_size == 0:
            what = "is empty" if path.exists() else "is missing"
            raise StoreUnusable(
                f"{path} {what} although this state folder was in use: restore it from a backup, "
                f"or delete {marker} to begin anew without it"
            )
    return text != _CLOSED


def mark_open(root: Path) -> None:
    """Note that the store is in use."""
    _write(root / _MARKER, _OPEN)


def mark_closed(root: Path) -> None:
    """Note that the store was closed in order."""
    _write(root / _MARKER, _CLOSED)


def _write(marker: Path, text: str) -> None:
    half = marker.with_name(f"{marker.name}.new")
    with half.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    half.rename(marker)
