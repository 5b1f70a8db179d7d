"""`eyas triggers`: when flows start by themselves, and switching that off and on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runner.cli.families import Family
from runner.cli.stored import (
    namespace_option,
    offered_triggers,
    settings_of,
    state_dir_option,
    within,
)
from runner.cli.tables import local_time, output_option, print_json, print_jsonl, print_table
from runner.errors import NotFound

if TYPE_CHECKING:
    from runner.cli.client import Client

_ALL = "10000"

trigger_argument = click.argument("trigger", metavar="TRIGGER", shell_complete=offered_triggers)
state_output = output_option("table", "json")


@click.group(name="triggers", cls=Family)
def triggers_command() -> None:
    """List triggers and when they fire next, switch them off and on, run what was missed.

    All of it needs the daemon. TRIGGER is written as namespace.flow.trigger; the trigger's own id
    will do if no other trigger has it.
    """


@triggers_command.command(name="list")
@namespace_option
@output_option("table", "json", "jsonl")
@state_dir_option
def list_triggers(namespace: str | None, output: str, state_dir: Path | None) -> None:
    """List the triggers of all flows. The JSON is a page of them as the HTTP API gives it."""
    from runner.cli.client import connected

    with connected(settings_of(state_dir)) as client:
        found = [
            each
            for each in _search(client)
            if within(str(each["triggerContext"]["namespace"]), namespace)
        ]
    if output == "json":
        print_json({"results": found, "total": len(found)})
    elif output == "jsonl":
        print_jsonl(found)
    else:
        print_table(_HEADS, [_row(each["triggerContext"], each["trigger"]) for each in found])
        if not found:
            click.echo("There is no trigger", err=True)


@triggers_command.command(name="enable")
@trigger_argument
@state_output
@state_dir_option
def enable_trigger(trigger: str, output: str, state_dir: Path | None) -> None:
    """Let a trigger start executions again."""
    _put("set-disabled", trigger, output, state_dir, disabled=False)


@triggers_command.command(name="disable")
@trigger_argument
@state_output
@state_dir_option
def disable_trigger(trigger: str, output: str, state_dir: Path | None) -> None:
    """Keep a trigger from starting executions; the flow's text stays as it is."""
    _put("set-disabled", trigger, output, state_dir, disabled=True)


@triggers_command.command(name="backfill")
@trigger_argument
@click.option("--start", required=True, metavar="DATE", help="First moment: 2026-01-20T09:00:00Z.")
@click.option("--end", metavar="DATE", default=None, help="Last moment.  [default: now]")
@state_output
@state_dir_option
def backfill_trigger(
    trigger: str, start: str, end: str | None, output: str, state_dir: Path | None
) -> None:
    """Start the executions that a schedule would have started between two moments."""
    asked = {"start": start, **({"end": end} if end else {})}
    _put("backfill/create", trigger, output, state_dir, backfill=asked)


@triggers_command.command(name="unlock")
@trigger_argument
@state_output
@state_dir_option
def unlock_trigger(trigger: str, output: str, state_dir: Path | None) -> None:
    """Have a trigger go on although the execution that it started has not ended."""
    from runner.cli.client import connected

    with connected(settings_of(state_dir)) as client:
        name = _find(client, trigger)
        path = f"/triggers/{name['namespace']}/{name['flowId']}/{name['triggerId']}/unlock"
        _show(client.post(path), output)


def _search(client: Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get("/triggers/search", size=_ALL)["results"]
    return found


def _find(client: Client, text: str) -> dict[str, str]:
    """The name of the trigger that a person means, as the API wants it.

    Raises:
        NotFound: there is none, or there are several.
    """
    keys = ("namespace", "flowId", "triggerId")
    states = [each["triggerContext"] for each in _search(client)]
    names = [{key: str(state[key]) for key in keys} for state in states]
    whole = [".".join(name.values()) for name in names]
    found = [
        name
        for name, dotted in zip(names, whole, strict=True)
        if text in (dotted, name["triggerId"])
    ]
    exact = [name for name in found if ".".join(name.values()) == text]
    if len(exact or found) == 1:
        return (exact or found)[0]
    if found:
        some = ", ".join(".".join(name.values()) for name in found[:5])
        raise NotFound(f"Several triggers have the id '{text}': {some}. Write the flow too")
    from difflib import get_close_matches

    near = get_close_matches(text, [*whole, *(name["triggerId"] for name in names)], n=1)
    hint = f". Did you mean '{near[0]}'?" if near else "; `eyas triggers` lists those there are"
    raise NotFound(f"There is no trigger '{text}'{hint}")


def _put(action: str, trigger: str, output: str, state_dir: Path | None, **asked: Any) -> None:
    from runner.cli.client import connected

    with connected(settings_of(state_dir)) as client:
        _show(client.put(f"/triggers/{action}", {**_find(client, trigger), **asked}), output)


def _show(state: dict[str, Any], output: str) -> None:
    if output == "json":
        print_json(state)
    else:
        print_table(_HEADS[:-1], [_row(state, {})[:-1]])


_HEADS: Sequence[str] = ["TRIGGER", "ENABLED", "NEXT", "LAST", "DOING", "TYPE"]


def _row(state: dict[str, Any], declared: dict[str, Any]) -> list[str]:
    backfill = state.get("backfill")
    # The API's `date` is the next one until there was a last one: its clients want a date.
    last = None if state.get("date") == state.get("nextExecutionDate") else state.get("date")
    doing = f"waits for {state['executionId']}" if state.get("executionId") else ""
    if backfill:
        at = local_time(datetime.fromisoformat(backfill["currentDate"]))
        doing = f"backfill {'paused ' if backfill.get('paused') else ''}at {at}"
    return [
        f"{state['namespace']}.{state['flowId']}.{state['triggerId']}",
        "no" if state.get("disabled") else "yes",
        _moment(state.get("nextExecutionDate")),
        _moment(last),
        doing,
        str(declared.get("type", "")).rpartition(".")[2],
    ]


def _moment(text: str | None) -> str:
    """A date of the API in local time; `-` for none, and for the one that stands for none."""
    return "-" if not text or text.startswith("1970-") else local_time(datetime.fromisoformat(text))
