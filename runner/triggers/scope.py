"""What expressions of triggers see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any

from runner.engine.engine import Engine
from runner.engine.journal import Journal
from runner.engine.services import EngineServices
from runner.engine.variables import Variables, root
from runner.errors import RenderFailed
from runner.expr import Scope, render
from runner.model.execution import Execution, Label, Level, id_from, new_id
from runner.model.flow import Flow, Trigger
from runner.model.state import History, State


def scope_of_trigger(engine: Engine, journal: Journal, trigger: Trigger, **variables: Any) -> Scope:
    """What expressions see before there is an execution: the flow, defaults of its inputs.

    `trigger` holds its id and type only; `variables` come on top.
    """
    settings = engine.settings
    makers = root(journal, settings.environ, settings.env_prefix)
    about: dict[str, Any] = {"id": trigger.id, "type": trigger.type}
    makers |= {"execution": lambda: None, "trigger": lambda: about}
    scope = Scope(variables=Variables(makers), services=EngineServices(engine, journal))
    return scope.with_variables(**variables) if variables else scope


def scope_of_cause(engine: Engine, journal: Journal) -> Scope:
    """What a Flow trigger sees: `flow` is the listening one, the rest is the execution's."""
    settings = engine.settings
    makers = root(journal, settings.environ, settings.env_prefix)
    return Scope(variables=Variables(makers), services=EngineServices(engine, journal))


def journal_before(engine: Engine, flow: Flow, now: datetime) -> Journal:
    """A journal of no execution, for expressions that are rendered before there is one."""
    labels = tuple(label for label in flow.labels if not label.key.startswith("system."))
    execution = Execution(
        id=new_id(),
        namespace=flow.namespace,
        flow_id=flow.id,
        flow_revision=flow.revision,
        history=History.begin(State.CREATED, now),
        labels=labels,
    )
    return Journal(flow, execution, engine.store)


def rendered_labels(
    labels: Sequence[Label], scope: Scope, journal: Journal | None = None
) -> tuple[Label, ...]:
    """Labels with their values rendered; one that cannot be is left out, and said so."""
    found: list[Label] = []
    for label in labels:
        try:
            found.append(Label(label.key, render(label.value, scope)))
        except RenderFailed as error:
            text = f"Failed to render label '{label.key}', it will be omitted: {error.reason}"
            if journal is not None:
                journal.log(Level.WARN, text)
    return tuple(found)


def nested(outputs: Mapping[str, Any] | None, more: Mapping[str, Any] | None) -> dict[str, Any]:
    """Two trees of outputs as one; where both have a value that is no map, `more` wins."""
    tree = dict(outputs or {})
    for key, value in (more or {}).items():
        there = tree.get(key)
        if isinstance(there, Mapping) and isinstance(value, Mapping):
            value = nested(there, value)  # pyright: ignore[reportUnknownArgumentType] # JSON
        tree[key] = value
    return tree


def stable_id(*parts: str) -> str:
    """The id of the one execution for which `parts` stand.

    After a crash between its creation and the note of it, the same id tells that it exists.
    """
    return id_from(sha256("\0".join(parts).encode()).digest()[:16])
