"""What expressions of a stored execution see: for `eyas eval --execution`."""

from __future__ import annotations

from pathlib import Path

from runner.cli.stored import StoredFlows, opened, settings_of
from runner.errors import NotFound
from runner.expr import Scope


def scope_of_execution(text: str, state_dir: Path | None = None) -> Scope:
    """The scope that the flow's own outputs would be rendered in, as the execution stands now.

    `text` is an execution's id or the beginning of one. Outputs, inputs, labels and the trigger
    come from the store, `kv()` and `read()` look at the state folder, `secret()` and `envs` at
    the environment of this process. Nothing is written.

    Raises:
        StoreUnreadable: there is no store.
        NotFound: there is no such execution, or the text of its flow is not known any more.
    """
    from runner.engine.context import scope_of_flow
    from runner.engine.engine import Engine
    from runner.engine.flows import FixedFlows
    from runner.engine.journal import Journal
    from runner.runners.registry import TaskRunners
    from runner.storage.files import Storage
    from runner.storage.kv import KeyValues
    from runner.store.memory import MemoryStore

    settings = settings_of(state_dir)
    with opened(state_dir) as reader:
        execution, runs = reader.found(reader.execution_id(text))
        flow = StoredFlows(reader, settings).of(execution)
        errors = [x for x in reader.lines(execution.id) if x.level == "ERROR"]
    if flow is None:
        name = f"{execution.namespace}.{execution.flow_id}"
        raise NotFound(
            f"Revision {execution.flow_revision} of the flow '{name}' is not known, or not valid "
            f"any more: expressions of execution '{execution.id}' cannot be evaluated"
        )
    # An engine that is never opened: it runs nothing, and says where keys and files are.
    store, files = MemoryStore(), settings.state_dir / "storage"
    engine = Engine(
        settings, store, FixedFlows([flow]), Storage(files), KeyValues(files), TaskRunners(settings)
    )
    journal = Journal(flow, execution, store, runs=runs)
    journal.errors.extend((line.task_id, line.message) for line in errors)
    return scope_of_flow(engine, journal, ended=execution.state.is_terminal)
