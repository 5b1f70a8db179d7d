"""Who makes containers, and the labels that say so."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import field

from runner.records import record
from runner.settings import INSTANCE_LABEL

START_LABEL = "eyas.start"
"""Label that names the start of Eyas that has made a container."""

RUN_LABEL = "eyas.run"
"""Label whose value is different for every container, so that a lost answer can be made up for."""


@record(kw_only=True)
class Maker:
    """One start of one Eyas. `instance` names the Eyas, for all its starts.

    A state folder has one Eyas at a time. So a container of this `instance` and another `start` is
    from an earlier one, whatever its age: it goes on if a note tells of it, else it is removed.
    """

    instance: str
    start: str = field(default_factory=lambda: os.urandom(4).hex())

    def labels(self, run: str) -> Mapping[str, str]:
        """The labels by which the container `run` is found again."""
        return {INSTANCE_LABEL: self.instance, START_LABEL: self.start, RUN_LABEL: run}
