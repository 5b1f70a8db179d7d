"""Makes docs/types.md from the catalogue of types: `python tests/docs/types_page.py`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from runner.model.catalog import Catalog, Kind, catalog
from runner.tasks.modules import MODULES

PAGE = Path(__file__).parents[2] / "docs" / "types.md"

HEAD = """# Types

Every task, trigger, condition and task runner that Eyas knows, with the old names that work too.
This page is made from the program (`python tests/docs/types_page.py`). `eyas schema` prints the
properties of all of them for editors; `eyas validate` says which property a type does not have.

Types of other Kestra plugins (databases, clouds, chat, Git...) are named as "known to Kestra, not
supported here": such a flow is shown and checked, and is not started unless the task would not run.
"""

NOTES = {
    "io.kestra.plugin.core.flow.Template": "not supported: use a Subflow (gone in Kestra 2.0)",
    "io.kestra.plugin.core.flow.Loop": "as in Kestra 2.0; an item is a task run `ID_iteration`",
    "io.kestra.plugin.core.namespace.PurgeFiles": "accepted: files have one version here",
    "io.kestra.plugin.core.http.Request": "HTTP proxies only; `encryptBody` is refused",
    "io.kestra.plugin.core.http.Download": "HTTP proxies only",
    "io.kestra.plugin.core.trigger.Toggle": "with `eyas serve`",
    "io.kestra.plugin.core.execution.Resume": "with `eyas serve`",
    "io.kestra.plugin.core.execution.Count": "over the executions that are kept",
    "io.kestra.plugin.core.execution.PurgeExecutions": "over the executions that are kept",
    "io.kestra.plugin.core.log.PurgeLogs": "without `logLevels`, which is refused",
    "io.kestra.plugin.core.condition.HasRetryAttempt": "never holds, as recorded on Kestra 1.2.14",
    "io.kestra.plugin.core.condition.PublicHoliday": "needs the package `holidays`",
}
"""What is to be known about a type beyond that it works."""

TITLES: dict[Kind, str] = {
    "task": "Tasks",
    "trigger": "Triggers",
    "condition": "Conditions",
    "taskRunner": "Task runners",
}


def page() -> str:
    """The whole page."""
    types = catalog()
    return HEAD + "".join(
        f"\n## {title}\n\n| type | old names | |\n|---|---|---|\n" + "".join(_rows(types, kind))
        for kind, title in TITLES.items()
    )


def _rows(types: Catalog, kind: Kind) -> Iterator[str]:
    was: dict[str, list[str]] = {}
    for each in types.old_names(kind):
        was.setdefault(types.canonical(each), []).append(f"`{each}`")
    for name in sorted(types.names(kind)):
        old = ", ".join(was.get(name, ()))
        yield f"| `{name}` | {old} | {NOTES.get(name, '')} |\n"


def not_supported() -> list[str]:
    """The task types of the catalogue that nothing runs."""
    return [name for name in catalog().names("task") if name not in MODULES]


if __name__ == "__main__":
    PAGE.write_text(page())
