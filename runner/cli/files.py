"""`eyas files`: the files that flows of a namespace share, and files of executions.

Looking reads the state folder; the daemon alone writes there, so changing asks it.
"""

from __future__ import annotations

import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner.cli.families import Family
from runner.cli.stored import (
    namespace_option,
    offered_executions,
    opened,
    settings_of,
    state_dir_option,
    within,
)
from runner.cli.tables import local_time, output_option, print_json, print_jsonl, print_table
from runner.errors import SettingInvalid

if TYPE_CHECKING:
    from runner.storage.files import Storage

_FOLDER = "_files"


@click.group(name="files", cls=Family)
def files_command() -> None:
    """List, read and write the files that flows share, and read files of executions."""


@files_command.command(name="list")
@namespace_option
@click.option(
    "--execution", metavar="ID", shell_complete=offered_executions, help="Those of an execution."
)
@output_option("table", "json", "jsonl")
@state_dir_option
def list_files(
    namespace: str | None, execution: str | None, output: str, state_dir: Path | None
) -> None:
    """List the files of namespaces, or of one execution; each can be read by its URI."""
    storage = _storage(state_dir)
    uris = (
        _of_execution(storage, execution, state_dir)
        if execution is not None
        else _of_namespaces(storage, namespace)
    )
    found = [(uri, storage.open(uri).stat()) for uri in uris]
    if output == "table":
        rows = [
            [str(status.st_size), local_time(datetime.fromtimestamp(status.st_mtime, UTC)), uri]
            for uri, status in found
        ]
        print_table(["SIZE", "CHANGED", "FILE"], rows)
        if not rows:
            click.echo("There is no file", err=True)
        return
    documents = [
        {"uri": uri, "size": status.st_size, "lastModifiedTime": int(status.st_mtime * 1000)}
        for uri, status in found
    ]
    if output == "jsonl":
        print_jsonl(documents)
    else:
        print_json(documents)


@files_command.command(name="get")
@click.argument("file", metavar="FILE")
@click.argument("target", metavar="[TARGET]", required=False, type=click.Path(path_type=Path))
@state_dir_option
def get_file(file: str, target: Path | None, state_dir: Path | None) -> None:
    """Print a file, or copy it to TARGET.

    FILE is a URI as outputs have them (kestra:///...), or NAMESPACE/PATH of a namespace file.
    """
    storage = _storage(state_dir)
    if file.startswith("kestra://"):
        place = storage.open(file)
    else:
        namespace, path = _split(file)
        place = storage.namespace_files(namespace).path(path)
    if target is None:
        with place.open("rb") as source:
            shutil.copyfileobj(source, sys.stdout.buffer)
    else:
        shutil.copyfile(place, target / place.name if target.is_dir() else target)


@files_command.command(name="put")
@click.argument("source", metavar="SOURCE", type=click.Path(path_type=Path))
@click.argument("file", metavar="NAMESPACE/PATH")
@state_dir_option
def put_file(source: Path, file: str, state_dir: Path | None) -> None:
    """Make the content of SOURCE the namespace file at that path. Needs the daemon."""
    from runner.cli.client import connected

    namespace, path = _split(file)
    if not source.is_file():
        raise SettingInvalid(f"There is no file '{source}'")
    with connected(settings_of(state_dir)) as client:
        client.form(f"/namespaces/{namespace}/files", {"fileContent": source}, path=f"/{path}")


@files_command.command(name="delete")
@click.argument("file", metavar="NAMESPACE/PATH")
@state_dir_option
def delete_file(file: str, state_dir: Path | None) -> None:
    """Delete a namespace file, or a folder with all in it. Needs the daemon."""
    from runner.cli.client import connected

    namespace, path = _split(file)
    with connected(settings_of(state_dir)) as client:
        client.delete(f"/namespaces/{namespace}/files", path=f"/{path}")


def _storage(state_dir: Path | None) -> Storage:
    from runner.storage.files import Storage

    return Storage(settings_of(state_dir).state_dir / "storage")


def _split(file: str) -> tuple[str, str]:
    """Namespace and path of a namespace file.

    Raises:
        SettingInvalid: it is not written so.
    """
    namespace, slash, path = file.partition("/")
    if not (namespace and slash and path):
        raise SettingInvalid(f"'{file}': write it as NAMESPACE/PATH, such as company.team/lib/a.py")
    return namespace, path


def _of_execution(storage: Storage, execution: str, state_dir: Path | None) -> list[str]:
    with opened(state_dir) as reader:
        return storage.execution_files(reader.execution(reader.execution_id(execution)))


def _of_namespaces(storage: Storage, namespace: str | None) -> list[str]:
    folders = sorted(path for path in storage.root.rglob(_FOLDER) if path.is_dir())
    names = [path.parent.relative_to(storage.root).as_posix().replace("/", ".") for path in folders]
    found = [storage.namespace_files(name) for name in names if within(name, namespace)]
    return [files.uri(path) for files in found for path in files.list()]
