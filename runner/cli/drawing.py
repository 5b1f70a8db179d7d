"""A flow as boxes and arrows, in whatever notation they are written then."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any, Literal

from runner.cli.problems import printable
from runner.model.branches import Branch, branches_in, branches_of
from runner.model.flow import Flow, Task, Trigger
from runner.records import record

Shape = Literal["flow", "trigger", "task", "group", "choice", "loop"]

_FLOW = "io.kestra.plugin.core.flow."
_TRIGGER = "io.kestra.plugin.core.trigger."
_ABOUT: Mapping[str, tuple[str, ...]] = {
    f"{_FLOW}If": ("condition",),
    f"{_FLOW}Switch": ("value",),
    f"{_FLOW}ForEach": ("values",),
    f"{_FLOW}Loop": ("values",),
    f"{_FLOW}EachSequential": ("value",),
    f"{_FLOW}EachParallel": ("value",),
    f"{_FLOW}LoopUntil": ("condition",),
    f"{_FLOW}Pause": ("pauseDuration",),
    f"{_FLOW}Sleep": ("duration",),
    f"{_FLOW}Subflow": ("namespace", "flowId"),
    f"{_FLOW}ForEachItem": ("namespace", "flowId"),
    f"{_TRIGGER}Schedule": ("cron",),
}
"""The properties that say most about what a task or trigger does."""
_LONGEST = 60
_RUNS_ASIDE = ("ERROR", "FINALLY", "AFTER_EXECUTION")


@record
class Box:
    """A task or trigger, or the flow itself. `about` is its type, and what it depends on most."""

    id: str
    title: str
    about: str
    shape: Shape
    disabled: bool = False


@record
class Arrow:
    """What comes after what; `aside`: only when something failed, or for another round."""

    source: str
    target: str
    label: str = ""
    aside: bool = False


@record
class Region:
    """What belongs to a flowable, in the order of the file, its own box first."""

    id: str
    parts: list[Box | Region] = field(default_factory=list["Box | Region"])

    def boxes(self) -> Iterator[Box]:
        """Every box in it, those of inner regions too."""
        for part in self.parts:
            if isinstance(part, Box):
                yield part
            else:
                yield from part.boxes()


@record
class Drawing:
    """The whole picture."""

    root: Region
    arrows: Sequence[Arrow]


def drawn(flow: Flow) -> Drawing:
    """The picture of a flow: its triggers, every task and every branch."""
    return _Pen().flow(flow)


def about(item: Task | Trigger) -> str:
    """The type of a task or trigger, short, and its most telling property."""
    values = [item.properties.get(name) for name in _ABOUT.get(item.type, ())]
    text = ".".join(_text(value) for value in values if value is not None)
    name = short_type(item.type)
    return f"{name}: {text}" if text else name


def short_type(type_: str) -> str:
    """A type without what goes without saying: `Log`, `python.Script`."""
    parts = type_.split(".")
    known = type_.startswith("io.kestra.plugin.core.")
    return ".".join(parts[-1:] if known else parts[-2:])


def _text(value: Any) -> str:
    text = printable(value if isinstance(value, str) else str(value)).strip()
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


_Ends = list[tuple[str, str]]
"""Where a part of the flow ends: boxes, and what is to stand at the arrow that leaves each."""


class _Pen:
    """Draws one flow."""

    def __init__(self) -> None:
        self._arrows: list[Arrow] = []
        self._boxes = 0
        self._regions = 0

    def flow(self, flow: Flow) -> Drawing:
        """The picture of the flow."""
        root = self._region()
        triggers = [self._box(root, each.id, each, "trigger") for each in flow.triggers]
        title = f"{flow.namespace}.{flow.id}"
        start = Box(self._next_id(), title, "", "flow", flow.disabled)
        root.parts.append(start)
        self._arrows += [Arrow(trigger, start.id) for trigger in triggers]
        self._level(root, start.id, list(branches_of(flow)), [])
        return Drawing(root, self._arrows)

    def _region(self) -> Region:
        self._regions += 1
        return Region(f"g{self._regions - 1}")

    def _next_id(self) -> str:
        self._boxes += 1
        return f"n{self._boxes - 1}"

    def _box(self, region: Region, title: str, item: Task | Trigger, shape: Shape) -> str:
        box = Box(self._next_id(), title, about(item), shape, item.disabled)
        region.parts.append(box)
        return box.id

    def _task(self, region: Region, task: Task) -> tuple[str, _Ends]:
        """Draw a task and what is nested in it; its first box, and its ends."""
        branches = list(branches_in(task))
        if not branches:
            box = self._box(region, task.id, task, "task")
            return box, [(box, "")]
        inner = self._region()
        region.parts.append(inner)
        box = self._box(inner, task.id, task, _shape(branches))
        return box, self._level(inner, box, branches, _ways_past(box, task, branches))

    def _level(self, region: Region, header: str, branches: Sequence[Branch], ends: _Ends) -> _Ends:
        """Draw the branches of a flow or a flowable, which come after its `header`.

        `ends`: where it may end without any of them.
        """
        aside = [each for each in branches if each.relation in _RUNS_ASIDE]
        own = [each for each in branches if each.relation not in _RUNS_ASIDE]
        for branch in own:
            ends = [*ends, *self._branch(region, header, branch)]
        if not own:
            ends = [*ends, (header, "")]
        failed: _Ends = []
        for branch in aside:
            if branch.relation == "ERROR":
                before: _Ends = [(header, branch.name)]
                failed = self._chain(region, branch.tasks, before, aside=True)
            else:
                before = [(box, _joined(label, branch.name)) for box, label in (*ends, *failed)]
                ends, failed = self._chain(region, branch.tasks, before), []
        return ends

    def _branch(self, region: Region, header: str, branch: Branch) -> _Ends:
        """Draw one branch of a flowable; its ends."""
        if branch.relation == "PARALLEL":
            return self._beside_each_other(region, header, branch)
        label = "" if branch.name == "tasks" else branch.name
        ends = self._chain(region, branch.tasks, [(header, label)])
        if branch.relation != "DYNAMIC":
            return ends
        self._arrows += [Arrow(box, header, _joined(label, "next"), True) for box, label in ends]
        return [(header, "")]

    def _chain(
        self, region: Region, tasks: Iterable[Task], before: _Ends, *, aside: bool = False
    ) -> _Ends:
        """Draw tasks one after the other, the first after `before`; the ends of the last."""
        for task in tasks:
            first, ends = self._task(region, task)
            self._arrows += [Arrow(box, first, label, aside) for box, label in before]
            before, aside = ends, False
        return before

    def _beside_each_other(self, region: Region, header: str, branch: Branch) -> _Ends:
        """Draw tasks that wait for no other, or for those of a Dag that they depend on."""
        parts = {task.id: self._task(region, task) for task in branch.tasks}
        for name, (first, _) in parts.items():
            before = [end for each in branch.after.get(name, ()) for end in parts[each][1]]
            self._arrows += [Arrow(box, first, label) for box, label in before or [(header, "")]]
        waited_for = {name for names in branch.after.values() for name in names}
        return [end for name in parts if name not in waited_for for end in parts[name][1]]


def _shape(branches: Sequence[Branch]) -> Shape:
    relations = {branch.relation for branch in branches}
    return "choice" if "CHOICE" in relations else "loop" if "DYNAMIC" in relations else "group"


def _ways_past(box: str, task: Task, branches: Sequence[Branch]) -> _Ends:
    """The ways through a choice on which no task stands."""
    names = {branch.name for branch in branches}
    if task.type == f"{_FLOW}If":
        return [(box, name) for name in ("then", "else") if name not in names]
    empty = task.type == f"{_FLOW}Switch" and task.properties.get("defaults") == ()
    return [(box, "defaults")] if empty else []


def _joined(label: str, name: str) -> str:
    return f"{label}, {name}" if label else name
