"""The flows that `eyas run` can reach: the one that was named, and those in the same folder."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from runner.errors import FlowInvalid, NotFound
from runner.model.flow import Flow
from runner.settings import Settings


class NeighbourFlows:
    """A `Flows` that reads the files beside the flow's own when a subflow is asked for."""

    def __init__(self, flow: Flow, settings: Settings) -> None:
        self._flow = flow
        self._settings = settings
        self._others: dict[tuple[str, str], Flow] | None = None

    def find(self, namespace: str, flow_id: str, revision: int | None = None) -> Flow:
        """The flow of that name; files have one revision."""
        if (namespace, flow_id) == (self._flow.namespace, self._flow.id):
            return self._flow
        others = self._read()
        if (namespace, flow_id) not in others:
            folder = Path(self._flow.file or ".").parent
            raise NotFound(
                f"Unable to find flow '{namespace}.{flow_id}': there is no such flow in {folder}"
            )
        return others[namespace, flow_id]

    def all(self) -> Iterable[Flow]:
        """The flow and its neighbours."""
        return [self._flow, *self._read().values()]

    def _read(self) -> dict[tuple[str, str], Flow]:
        from runner.loading.flow import load_file

        if self._others is None:
            self._others = {}
            own = Path(self._flow.file)
            for path in sorted([*own.parent.glob("*.yaml"), *own.parent.glob("*.yml")]):
                if path == own:
                    continue
                try:
                    other = load_file(path, settings=self._settings)
                except FlowInvalid:
                    continue  # it is not the one asked for, or it is reported as not found
                self._others.setdefault((other.namespace, other.id), other)
        return self._others
