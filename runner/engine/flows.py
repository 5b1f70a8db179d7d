"""Where the engine finds flows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from runner.errors import NotFound
from runner.model.flow import Flow


class Flows(Protocol):
    """The flows that can be started: a watched folder, or the one flow of `eyas run`."""

    def find(self, namespace: str, flow_id: str, revision: int | None = None) -> Flow:
        """The flow, in its newest revision unless another is named.

        Raises:
            NotFound: there is no such flow or revision.
        """
        ...

    def all(self) -> Iterable[Flow]:
        """Every flow in its newest revision."""
        ...


class FixedFlows:
    """Flows that were loaded once."""

    def __init__(self, flows: Iterable[Flow]) -> None:
        self._flows: Mapping[tuple[str, str], Flow] = {
            (flow.namespace, flow.id): flow for flow in flows
        }

    def find(self, namespace: str, flow_id: str, revision: int | None = None) -> Flow:
        """The flow of that name; there is one revision only."""
        flow = self._flows.get((namespace, flow_id))
        if flow is None:
            raise NotFound(f"Unable to find flow '{namespace}.{flow_id}'")
        return flow

    def all(self) -> Iterable[Flow]:
        """Every flow."""
        return self._flows.values()
