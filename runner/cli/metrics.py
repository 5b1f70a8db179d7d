"""`eyas metrics`: what the tasks of an execution measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner.cli.stored import execution_argument, opened, state_dir_option
from runner.cli.tables import output_option, print_json, print_jsonl, print_table

if TYPE_CHECKING:
    from runner.model.execution import Metric


@click.command(name="metrics")
@execution_argument
@click.option("--task", metavar="TASK", default=None, help="Only of this task.")
@output_option("table", "json", "jsonl")
@state_dir_option
def metrics_command(execution: str, task: str | None, output: str, state_dir: Path | None) -> None:
    """Show the metrics of an execution.

    ID may be the beginning of an id. Reads the store, so it works without a daemon too. The JSON
    is a page of metrics as the HTTP API gives it; a timer's value is in milliseconds there.
    """
    with opened(state_dir) as reader:
        every = reader.metrics(reader.execution_id(execution))
    found = [metric for metric in every if task in (None, metric.task_id)]
    if output == "table":
        print_table(["TASK", "NAME", "TYPE", "VALUE", "TAGS"], [_row(each) for each in found])
        if not found:
            click.echo("No task has given a metric", err=True)
        return
    from runner.api.shapes import metric_json, page

    documents = [metric_json(metric) for metric in found]
    if output == "jsonl":
        print_jsonl(documents)
    else:
        print_json(page(documents, len(documents)))


def _row(metric: Metric) -> list[str]:
    timer = metric.type == "timer"
    value = f"{metric.value / 1000:g} s" if timer else f"{metric.value:.15g}"
    tags = " ".join(f"{key}={text}" for key, text in (metric.tags or {}).items())
    return [metric.task_id, metric.name or "", metric.type, value, tags]
