"""`eyas flows`: the flows of the daemon, their texts, and starting them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from runner.cli.act import form_of, inputs_option, revision_option
from runner.cli.families import Family
from runner.cli.stored import (
    flow_argument,
    flow_name,
    flow_text,
    namespace_option,
    opened,
    settings_of,
    state_dir_option,
    within,
)
from runner.cli.tables import output_option, print_json, print_jsonl, print_table


@click.group(name="flows", cls=Family)
def flows_command() -> None:
    """List the flows in service, show their texts, start them.

    FLOW is written as namespace.id; the id alone will do if only one flow has it.
    """


@flows_command.command(name="list")
@namespace_option
@output_option("table", "json", "jsonl")
@state_dir_option
def list_flows(namespace: str | None, output: str, state_dir: Path | None) -> None:
    """List the flows that the daemon has in service, and files that are broken.

    Needs the daemon, because its folder says which flows there are. The JSON is a page of flows
    as the HTTP API gives it.
    """
    from runner.cli.client import connected

    with connected(settings_of(state_dir)) as client:
        found: list[dict[str, Any]] = client.get("/flows/search", size="10000")["results"]
    kept = [flow for flow in found if within(flow.get("namespace", ""), namespace)]
    if output == "json":
        print_json({"results": kept, "total": len(kept)})
    elif output == "jsonl":
        print_jsonl(kept)
    else:
        _print_table(kept)


@flows_command.command(name="show")
@flow_argument
@revision_option
@output_option("text", "json", default="text")
@state_dir_option
def show_flow(flow: str, revision: int | None, output: str, state_dir: Path | None) -> None:
    """Print the text of a flow, in its newest revision unless --revision names another.

    Reads the store, so it works without a daemon too, and for flows that are gone.
    """
    with opened(state_dir) as reader:
        found = flow_text(reader, flow, revision)
    if output == "text":
        click.echo(found.source, nl=not found.source.endswith("\n"))
        return
    print_json(
        {
            "namespace": found.namespace,
            "id": found.id,
            "revision": found.revision,
            "source": found.source,
        }
    )


@flows_command.command(name="revisions")
@flow_argument
@output_option("table", "json", "jsonl")
@state_dir_option
def flow_revisions(flow: str, output: str, state_dir: Path | None) -> None:
    """List the revisions of a flow, oldest first."""
    from datetime import datetime

    from runner.cli.tables import local_time

    with opened(state_dir) as reader:
        found = reader.flow_revisions(*flow_name(reader, flow))
    if output == "table":
        rows = [
            [
                str(each.revision),
                local_time(datetime.fromisoformat(each.created)),
                str(each.source.count("\n")),
            ]
            for each in found
        ]
        print_table(["REVISION", "SINCE", "LINES"], rows)
        return
    documents = [{"revision": each.revision, "created": each.created} for each in found]
    if output == "jsonl":
        print_jsonl(documents)
    else:
        print_json(documents)


@flows_command.command(name="start")
@flow_argument
@inputs_option
@click.option("--labels", "labels", multiple=True, metavar="KEY:VALUE", help="A label.")
@revision_option
@click.option("--wait", is_flag=True, help="Return when it has ended; the status says how.")
@output_option("table", "json")
@state_dir_option
def start_flow(
    flow: str,
    inputs: Sequence[str],
    labels: Sequence[str],
    revision: int | None,
    wait: bool,
    output: str,
    state_dir: Path | None,
) -> None:
    """Have the daemon start an execution of a flow.

    With --wait the status is 1 unless it ends in success or with a warning.
    """
    import sys

    from runner.cli.act import show_execution
    from runner.cli.client import connected
    from runner.cli.main import FAILED

    form = form_of(inputs)
    with opened(state_dir) as reader:
        namespace, flow_id = flow_name(reader, flow)
    query: dict[str, str | Sequence[str]] = {"labels": labels, "wait": str(wait).lower()}
    if revision is not None:
        query["revision"] = str(revision)
    with connected(settings_of(state_dir)) as client:
        document = client.form(f"/executions/{namespace}/{flow_id}", form, **query)
    show_execution(document, output)
    if wait and document["state"]["current"] not in ("SUCCESS", "WARNING"):
        sys.exit(FAILED)


@flows_command.command(name="enable")
@flow_argument
@state_dir_option
def enable_flow(flow: str, state_dir: Path | None) -> None:
    """Enable a flow, in its file."""
    _switch(flow, "enable", state_dir)


@flows_command.command(name="disable")
@flow_argument
@state_dir_option
def disable_flow(flow: str, state_dir: Path | None) -> None:
    """Disable a flow, in its file: it is not started any more."""
    _switch(flow, "disable", state_dir)


def _switch(flow: str, word: str, state_dir: Path | None) -> None:
    from runner.cli.client import connected

    with opened(state_dir) as reader:
        namespace, flow_id = flow_name(reader, flow)
    with connected(settings_of(state_dir)) as client:
        client.post(f"/flows/{word}/by-ids", [{"namespace": namespace, "id": flow_id}])


def _print_table(flows: Sequence[dict[str, Any]]) -> None:
    rows = [
        [
            f"{flow.get('namespace', '?')}.{flow.get('id', '?')}",
            str(flow.get("revision", "")),
            "broken" if flow.get("exception") else "disabled" if flow.get("disabled") else "yes",
            ", ".join(trigger["id"] for trigger in flow.get("triggers") or ()),
            (flow.get("exception") or flow.get("description") or "").strip().partition("\n")[0],
        ]
        for flow in flows
    ]
    print_table(["FLOW", "REVISION", "IN SERVICE", "TRIGGERS", "DESCRIPTION"], rows)
    if not rows:
        click.echo("There is no flow", err=True)
