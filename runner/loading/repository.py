"""The flows in service: which file each came from, its revision, and what is wrong with files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import anyio

from runner.errors import FlowInvalid, NotFound, Problem
from runner.loading.flow import load, read_text
from runner.model.flow import Flow
from runner.records import record
from runner.settings import Settings

Name = tuple[str, str]
"""A flow's namespace and id."""


class Texts(Protocol):
    """Keeps every text a flow ever had, by revision; the store on disk has one."""

    async def record(self, flows: Sequence[tuple[str, str, str]]) -> list[int]:
        """Note the texts of flows (namespace, id, text) and return the revision of each."""
        ...

    def text(self, namespace: str, flow_id: str, revision: int) -> str | None:
        """The flow's text in that revision, None if there is none."""
        ...


@record(kw_only=True)
class FlowFile:
    """What a file of the folder holds.

    `flow` is None if its text never was a flow. After a broken edit `flow` is still the last good
    one, and `problems` say what is wrong with the text that stands there now.
    """

    path: str
    text: str
    flow: Flow | None
    problems: tuple[Problem, ...] = ()

    @property
    def name(self) -> Name | None:
        """Namespace and id of its flow, or what a broken text says they are."""
        if self.flow is not None:
            return self.flow.namespace, self.flow.id
        namespace, flow_id = _top_level("namespace", self.text), _top_level("id", self.text)
        return (namespace, flow_id) if namespace and flow_id else None


class Repository:
    """Flows by name and revision, as files come, change and go.

    Of two files with the same flow the first by path is in service, and the other has a problem.
    """

    def __init__(self, texts: Texts, settings: Settings) -> None:
        self._texts = texts
        self._settings = settings
        self._files: dict[str, FlowFile] = {}
        self._twice: dict[str, Problem] = {}
        self._flows: dict[Name, Flow] = {}
        self._paths: dict[Name, str] = {}
        self._older: dict[tuple[str, str, int], Flow] = {}
        self.changed = anyio.Event()
        """Set, and replaced by a new one, when a flow in service came, changed or went."""

    def find(self, namespace: str, flow_id: str, revision: int | None = None) -> Flow:
        """The flow, in its newest revision unless another is named.

        An older revision is also found when the flow is not in service any more.

        Raises:
            NotFound: there is no such flow or revision.
        """
        flow = self._flows.get((namespace, flow_id))
        if revision is None or (flow is not None and flow.revision == revision):
            if flow is None:
                raise NotFound(f"Unable to find flow '{namespace}.{flow_id}'")
            return flow
        key = (namespace, flow_id, revision)
        if key not in self._older:
            text = self._texts.text(*key)
            if text is None:
                raise NotFound(f"Unable to find flow '{namespace}.{flow_id}' revision {revision}")
            if len(self._older) >= _OLDER_KEPT:
                self._older.pop(next(iter(self._older)))
            self._older[key] = self._loaded_again(text, revision)
        return self._older[key]

    def _loaded_again(self, text: str, revision: int) -> Flow:
        """An older text as a flow; what was valid once and is not any more cannot be found."""
        try:
            return load(text, settings=self._settings, revision=revision)
        except FlowInvalid as error:
            message = f"Revision {revision} of the flow is not valid any more: {error}"
            raise NotFound(message) from error

    def all(self) -> Iterable[Flow]:
        """Every flow in service, in the order of their names."""
        return [self._flows[name] for name in sorted(self._flows)]

    def path(self, namespace: str, flow_id: str) -> str | None:
        """The file that the flow came from, None if it is not in service."""
        return self._paths.get((namespace, flow_id))

    def files(self) -> list[FlowFile]:
        """Every file, by path."""
        return [self._shown(self._files[path]) for path in sorted(self._files)]

    def file(self, path: str) -> FlowFile | None:
        """The file at that path, None if there is none."""
        file = self._files.get(path)
        return self._shown(file) if file else None

    def _shown(self, file: FlowFile) -> FlowFile:
        twice = self._twice.get(file.path)
        return replace(file, problems=(*file.problems, twice)) if twice else file

    def read(self, path: str, place: Path) -> FlowFile:
        """What the file at `place`, called `path`, holds: a flow, or problems. Blocks."""
        try:
            text = read_text(place)
        except FlowInvalid as error:
            problems = tuple(replace(problem, file=path) for problem in error.problems)
            return FlowFile(path=path, text="", flow=None, problems=problems)
        try:
            flow = self.check(text, path)
        except FlowInvalid as error:
            return FlowFile(path=path, text=text, flow=None, problems=error.problems)
        return FlowFile(path=path, text=text, flow=flow, problems=flow.problems)

    def check(self, text: str, path: str = "") -> Flow:
        """The flow that `text` describes; it is not put in service. Blocks.

        Raises:
            FlowInvalid: with every problem of the text.
        """
        return load(text, file=path, settings=self._settings)

    async def update(self, files: Mapping[str, FlowFile | None]) -> None:
        """Take over files that came or changed, and drop those that are None."""
        for path, file in files.items():
            if file is None:
                self._files.pop(path, None)
            else:
                old = self._files.get(path)
                self._files[path] = _kept_in_service(old, file)
        await self._settle()

    async def _settle(self) -> None:
        """Choose the flow in service of each name, and number those whose text is new."""
        chosen: dict[Name, tuple[str, Flow]] = {}
        self._twice = {}
        for path in sorted(self._files):
            flow = self._files[path].flow
            if flow is None:
                continue
            first, _ = chosen.setdefault((flow.namespace, flow.id), (path, flow))
            if first != path:
                self._twice[path] = _second(flow, path, first)
        new = [
            flow
            for name, (_, flow) in chosen.items()
            if name not in self._flows or self._flows[name].source != flow.source
        ]
        revisions = await self._texts.record([(f.namespace, f.id, f.source) for f in new])
        numbered = {
            (flow.namespace, flow.id): replace(flow, revision=revision)
            for flow, revision in zip(new, revisions, strict=True)
        }
        before = self._flows
        self._paths = {name: path for name, (path, _) in chosen.items()}
        self._flows = {name: numbered.get(name) or before[name] for name in chosen}
        if numbered or self._flows.keys() != before.keys():
            changed, self.changed = self.changed, anyio.Event()
            changed.set()


_OLDER_KEPT = 200


def _kept_in_service(old: FlowFile | None, new: FlowFile) -> FlowFile:
    """`new`, with the flow of `old` in service if `new` is none."""
    if new.flow is None and old is not None and old.flow is not None:
        return replace(new, flow=old.flow)
    return new


def _second(flow: Flow, path: str, first: str) -> Problem:
    """The problem of a file whose flow another one has already."""
    return Problem(
        message=f"Flow '{flow.namespace}.{flow.id}' is defined in {first} already",
        file=path,
        hint="give one of them another id",
    )


def _top_level(key: str, text: str) -> str | None:
    found = re.search(rf"(?m)^{key}:[ \t]*[\"']?([\w.-]+)", text)
    return found[1] if found else None
