"""How much room is left where state is kept (reliability E1)."""

from __future__ import annotations

import os
from pathlib import Path

_FEWEST_FILES = 100


class Space:
    """The disk of `folder`, on which `reserve_bytes` are kept for what runs already."""

    def __init__(self, folder: Path, reserve_bytes: int) -> None:
        self._folder = folder
        self._reserve_bytes = reserve_bytes

    def shortage(self) -> str | None:
        """Why nothing new may be begun; None while there is room for more."""
        try:
            found = os.statvfs(self._folder)
        except OSError:
            return None  # what is wrong with it, those say who use it
        free_bytes = found.f_bavail * found.f_frsize
        if free_bytes < self._reserve_bytes:
            return (
                f"The disk of {self._folder} has {_megabytes(free_bytes)} left, and "
                f"{_megabytes(self._reserve_bytes)} are kept for what runs (min_free_bytes): "
                "make space"
            )
        if found.f_files and found.f_favail < min(_FEWEST_FILES, self._reserve_bytes):
            return f"The disk of {self._folder} has no room for more files (inodes): delete some"
        return None


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1024**2:.0f} MB"
