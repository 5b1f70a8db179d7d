"""`eyas graph`: draw a flow."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from runner.cli.tables import output_option
from runner.errors import FlowInvalid, NotFound
from runner.model.flow import Flow


@click.command("graph")
@click.argument("file", metavar="FLOW.yaml", type=click.Path(path_type=Path))
@output_option("tree", "mermaid", "dot", piped="mermaid")
def graph_command(file: Path, output: str) -> None:
    """Draw the flow in FLOW.yaml, or in standard input (-), to standard output.

    Mermaid is what Markdown pages of GitHub and GitLab show; DOT is for Graphviz:
    eyas graph FLOW.yaml --output dot | dot -Tsvg > flow.svg

    Dashed are tasks that are disabled, ways that a failure takes, and the way to another round.
    """
    from runner.cli.drawing import drawn
    from runner.cli.notations import dot, mermaid, tree

    flow = _flow(file)
    if output == "tree":
        click.echo(tree(flow))
    else:
        click.echo((mermaid if output == "mermaid" else dot)(drawn(flow)))


def _flow(file: Path) -> Flow:
    """The flow in a file or in standard input; ends the program when it is not valid."""
    from runner.cli.main import INVALID
    from runner.cli.problems import show_problems
    from runner.loading.flow import load, read_text
    from runner.loading.source import MAX_CHARACTERS, decode
    from runner.settings import load_settings

    if str(file) != "-" and not file.exists():
        raise NotFound(f"There is no file '{file}'. Name the file of a flow, such as hello.yaml")
    name = "<stdin>" if str(file) == "-" else str(file)
    try:
        if str(file) == "-":
            text = decode(sys.stdin.buffer.read(4 * MAX_CHARACTERS + 1), name)
        else:
            text = read_text(file)
        return load(text, file=name, settings=load_settings())
    except FlowInvalid as invalid:
        show_problems(invalid, name)
        sys.exit(INVALID)
