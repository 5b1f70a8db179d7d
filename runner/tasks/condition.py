"""When the rendered condition of a flowable holds."""

from __future__ import annotations

_FALSE = frozenset({"false", "0", "-0", ""})


def is_met(text: str | None) -> bool:
    """Whether a flowable's condition holds; a blank does, unlike in `runIf` (flow-model 4.0)."""
    return (text or "") not in _FALSE
