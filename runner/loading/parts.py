"""The readers of one flow's parts, joined: a task may hold tasks, inputs, a runner, a retry."""

from __future__ import annotations

from runner.loading.common import Common
from runner.loading.complaints import Complaints
from runner.loading.inputs import Inputs
from runner.loading.policies import Policies
from runner.loading.tasks import Tasks
from runner.loading.triggers import Triggers
from runner.model.catalog import Catalog


class Parts(Common):
    """Reads the parts of one flow, and notes what is wrong with them.

    Each reader takes a value, its place and its path, and gives the part, or None after a problem.
    """

    def __init__(self, catalog: Catalog, complaints: Complaints) -> None:
        super().__init__(catalog, complaints)
        policies, inputs, triggers = Policies(self), Inputs(self), Triggers(self)
        tasks = Tasks(self, policies.retry)
        self.task = tasks.task
        self.trigger = triggers.trigger
        self.input = inputs.input
        self.retry = policies.retry
        self.sla = policies.sla
        self.converter.special.update(
            Task=tasks.task,
            TaskRunner=tasks.task_runner,
            Trigger=triggers.trigger,
            Condition=triggers.condition,
            Input=inputs.input,
        )
