"""What the verbs share: the state folder, executions and flows by name, and their completion."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from runner.errors import NotFound, RunnerError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from runner.model.execution import Execution
    from runner.model.flow import Flow
    from runner.settings import Settings
    from runner.store.reader import Reader, StoredFlow

Command = TypeVar("Command", bound=Callable[..., Any])

_OFFERED = 50
"""So many ids are offered for completion."""


def state_dir_option(command: Command) -> Command:
    """The option `--state-dir`."""
    return click.option(
        "--state-dir",
        type=click.Path(path_type=Path),
        default=None,
        help="The daemon's state folder.  [default: EYAS_STATE_DIR, or what eyas.toml says]",
    )(command)


def settings_of(state_dir: Path | None) -> Settings:
    """The settings, with the state folder that the command line names."""
    from runner.settings import load_settings

    return load_settings(state_dir=state_dir)


@contextmanager
def opened(state_dir: Path | None) -> Generator[Reader]:
    """The store of the state folder, to look at.

    Raises:
        StoreUnreadable: there is none.
    """
    from runner.store.reader import open_reader

    with open_reader(settings_of(state_dir).state_dir) as reader:
        yield reader


def execution_argument(command: Command) -> Command:
    """The argument ID: an execution's id, or the beginning of one; with completion."""
    return click.argument("execution", metavar="ID", shell_complete=offered_executions)(command)


def flow_argument(command: Command) -> Command:
    """The argument FLOW: `namespace.id`, or an id that only one flow has; with completion."""
    return click.argument("flow", metavar="FLOW", shell_complete=offered_flows)(command)


def namespace_option(command: Command) -> Command:
    """The option `--namespace`."""
    return click.option(
        "--namespace", metavar="NS", default=None, help="Only of this namespace and those below."
    )(command)


def within(namespace: str, wanted: str | None) -> bool:
    """Whether `namespace` is the wanted one or below it; None wants all."""
    return wanted is None or f"{namespace}.".startswith(f"{wanted}.")


def flow_name(reader: Reader, text: str) -> tuple[str, str]:
    """Namespace and id of the flow that `text` means.

    Raises:
        NotFound: there never was one, or several have that id.
    """
    names = reader.flow_names()
    if name := next((name for name in names if ".".join(name) == text), None):
        return name
    found = [name for name in names if name[1] == text]
    if len(found) == 1:
        return found[0]
    if found:
        some = ", ".join(".".join(name) for name in found[:5])
        raise NotFound(f"Several flows have the id '{text}': {some}. Write the namespace too")
    from difflib import get_close_matches

    near = get_close_matches(text, [*(".".join(name) for name in names), *(n[1] for n in names)])
    hint = f". Did you mean '{near[0]}'?" if near else "; `eyas flows` lists those there are"
    raise NotFound(f"There is no flow '{text}'{hint}")


def flow_text(reader: Reader, text: str, revision: int | None) -> StoredFlow:
    """A flow's text in its newest revision, or in the one that is named.

    Raises:
        NotFound: there is no such flow or revision.
    """
    namespace, flow_id = flow_name(reader, text)
    texts = reader.flow_revisions(namespace, flow_id)
    if revision is None:
        return texts[-1]
    for each in texts:
        if each.revision == revision:
            return each
    known = f"1 to {texts[-1].revision}" if texts[-1].revision > 1 else "1 only"
    raise NotFound(f"Flow '{namespace}.{flow_id}' has no revision {revision}; it has {known}")


class StoredFlows:
    """The flows that executions ran, from the texts in the store."""

    def __init__(self, reader: Reader, settings: Settings) -> None:
        self._reader = reader
        self._settings = settings
        self._known: dict[tuple[str, str, int], Flow | None] = {}

    def of(self, execution: Execution) -> Flow | None:
        """The flow in the revision that ran; None if it is not known, or not valid any more."""
        key = (execution.namespace, execution.flow_id, execution.flow_revision)
        if key not in self._known:
            self._known[key] = self._loaded(*key)
        return self._known[key]

    def _loaded(self, namespace: str, flow_id: str, revision: int) -> Flow | None:
        from runner.errors import FlowInvalid
        from runner.loading.flow import load

        for text in self._reader.flow_revisions(namespace, flow_id):
            if text.revision == revision:
                try:
                    return load(text.source, settings=self._settings, revision=revision)
                except FlowInvalid:
                    return None
        return None


def offered_executions(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Executions whose id begins like that, newest first; none where there is no store."""
    from click.shell_completion import CompletionItem

    try:
        with opened(ctx.params.get("state_dir")) as reader:
            found = reader.ids(incomplete, _OFFERED)
    except (RunnerError, OSError):
        return []
    return [CompletionItem(id_, help=text) for id_, text in found]


def offered_flows(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Flows whose name or id begins like that; none where there is no store."""
    from click.shell_completion import CompletionItem

    try:
        with opened(ctx.params.get("state_dir")) as reader:
            names = reader.flow_names()
    except (RunnerError, OSError):
        return []
    whole = [".".join(name) for name in names if ".".join(name).startswith(incomplete)]
    short = [name[1] for name in names if name[1].startswith(incomplete)] if not whole else []
    return [CompletionItem(name) for name in whole or short]


def offered_triggers(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Triggers whose whole name begins like that; none where there is no store."""
    from click.shell_completion import CompletionItem

    try:
        with opened(ctx.params.get("state_dir")) as reader:
            names = [".".join(name) for name in reader.trigger_names()]
    except (RunnerError, OSError):
        return []
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]
