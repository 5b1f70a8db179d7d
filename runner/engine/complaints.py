"""How errors read in an execution's log: Kestra's own words first, then ours."""

from __future__ import annotations

from runner.errors import RenderFailed, RunnerError

_PEBBLE = "io.pebbletemplates.pebble.error.PebbleException"
_PAST_PEBBLE = ("Unable to read the file",)
"""How errors of functions begin that Kestra's template engine lets through as they are."""


def cause_of(error: RunnerError) -> str:
    """What Kestra writes about the error, for where nothing else may follow."""
    if not isinstance(error, RenderFailed):
        return str(error)
    if error.kind == "missing" or not error.template or error.reason.startswith(_PAST_PEBBLE):
        return error.reason
    return f"{_PEBBLE}: {error.reason} ({error.template}:{max(error.line, 1)})"


def hint_of(error: RunnerError) -> str:
    """Where the mistake is and what to do about it, as far as Kestra does not say it."""
    if not isinstance(error, RenderFailed) or error.reason.startswith(_PAST_PEBBLE):
        return ""
    place: list[str] = []
    if error.kind != "missing" and error.line:
        place.append(f"line {error.line}, column {error.column}")
    if error.where:
        place.append(error.where)
    if error.first_line:
        place.append(f"line {error.first_line + max(error.line, 1) - 1} of the flow")
    parts = (error.hint, f"({'; '.join(place)})" if place else "")
    return "\n".join(part for part in parts if part)


def complaint(error: RunnerError) -> str:
    """The error in full, for a log line of its own."""
    return "\n".join(part for part in (cause_of(error), hint_of(error)) if part)
