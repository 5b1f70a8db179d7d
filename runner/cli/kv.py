"""`eyas kv`: the key-value store that flows share.

Looking reads the files of the state folder; the daemon alone writes them, so changing asks it.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runner.cli.families import Family
from runner.cli.stored import namespace_option, settings_of, state_dir_option, within
from runner.cli.tables import local_time, output_option, print_json, print_jsonl, print_table
from runner.errors import NotFound

if TYPE_CHECKING:
    from runner.storage.kv import Entry, KeyValues

_SHOWN = 60

namespace_argument = click.argument("namespace", metavar="NAMESPACE")


@click.group(name="kv", cls=Family)
def kv_command() -> None:
    """List, read and write the keys that flows share."""


@kv_command.command(name="list")
@namespace_option
@output_option("table", "json", "jsonl")
@state_dir_option
def list_keys(namespace: str | None, output: str, state_dir: Path | None) -> None:
    """List keys. The JSON is a page of them, without values, as the HTTP API gives it."""
    kv = _kv(state_dir)
    names = [name for name in kv.namespaces() if within(name, namespace)]
    found = [entry for name in names for entry in kv.entries(name)]
    if output == "table":
        rows = [_row(entry) for entry in found]
        print_table(["NAMESPACE", "KEY", "TYPE", "UPDATED", "EXPIRES", "VALUE"], rows)
        if not rows:
            click.echo("There is no key", err=True)
        return
    from runner.api.kv import entry_json
    from runner.api.shapes import page

    documents = [entry_json(entry) for entry in found]
    if output == "jsonl":
        print_jsonl(documents)
    else:
        print_json(page(documents, len(documents)))


@kv_command.command(name="get")
@namespace_argument
@click.argument("key", metavar="KEY")
@output_option("text", "json", default="text")
@state_dir_option
def get_key(namespace: str, key: str, output: str, state_dir: Path | None) -> None:
    """Print the value of a key: text as it is, anything else as JSON."""
    entry = _kv(state_dir).entry(namespace, key)
    if entry is None or entry.is_expired(datetime.now(UTC)):
        raise NotFound(f"There is no key '{key}' in the namespace '{namespace}'")
    if output == "json":
        from runner.api.shapes import instant, plain

        print_json(
            {
                "type": entry.type.value,
                "value": plain(entry.value),
                "revision": entry.version,
                "updated": instant(entry.updated),
            }
        )
    else:
        click.echo(_text(entry.value))


@kv_command.command(name="set")
@namespace_argument
@click.argument("key", metavar="KEY")
@click.argument("value", metavar="VALUE")
@click.option("--text", is_flag=True, help="Take the value as text, whatever it looks like.")
@click.option("--ttl", metavar="DURATION", default=None, help="How long it lives, as PT24H.")
@click.option("--description", metavar="TEXT", default=None, help="What the key is for.")
@state_dir_option
def set_key(
    namespace: str,
    key: str,
    value: str,
    text: bool,
    ttl: str | None,
    description: str | None,
    state_dir: Path | None,
) -> None:
    """Give a key a value. Needs the daemon.

    What is JSON, a date, a moment or a duration is stored as that, anything else as text. VALUE -
    is read from standard input.
    """
    from runner.cli.client import connected

    given = sys.stdin.read() if value == "-" else value
    headers = {"ttl": ttl, "description": description}
    with connected(settings_of(state_dir)) as client:
        client.put(
            f"/namespaces/{namespace}/kv/{key}",
            json.dumps(given) if text or not _is_value(given.strip()) else given,
            {name: value for name, value in headers.items() if value},
        )


@kv_command.command(name="delete")
@namespace_argument
@click.argument("key", metavar="KEY")
@state_dir_option
def delete_key(namespace: str, key: str, state_dir: Path | None) -> None:
    """Delete a key. Needs the daemon."""
    from runner.cli.client import connected

    with connected(settings_of(state_dir)) as client:
        if not client.delete(f"/namespaces/{namespace}/kv/{key}"):
            raise NotFound(f"There is no key '{key}' in the namespace '{namespace}'")


def _kv(state_dir: Path | None) -> KeyValues:
    from runner.storage.kv import KeyValues

    return KeyValues(settings_of(state_dir).state_dir / "storage")


def _row(entry: Entry) -> list[str]:
    text = _text(entry.value)
    return [
        entry.namespace,
        entry.key,
        entry.type,
        local_time(entry.updated),
        local_time(entry.expires),
        text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…",
    ]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _is_value(text: str) -> bool:
    """Whether the API takes the text for something else than text: JSON, a date, a duration."""
    from runner.model.times import read_date, read_duration, read_instant

    for read in (json.loads, read_instant, read_date, read_duration):
        try:
            read(text)
        except ValueError:
            continue
        return True
    return False
