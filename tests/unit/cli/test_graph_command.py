from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from runner.cli.drawing import Drawing, drawn
from runner.cli.graph import graph_command
from runner.cli.notations import dot, mermaid, tree
from runner.errors import FlowInvalid
from runner.loading.flow import load, load_file
from runner.model.flow import Flow

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "graph.md"
CORE = "io.kestra.plugin.core"


def log(name: str, more: str = "") -> str:
    return f"{{id: {name}, type: {CORE}.log.Log, message: m{more}}}"


def flow(tasks: str, rest: str = "") -> Flow:
    return load(f"id: f\nnamespace: n\ntasks: [{tasks}]\n{rest}")


def flowable(name: str, type_: str, properties: str) -> str:
    return f"{{id: {name}, type: {CORE}.flow.{type_}, {properties}}}"


def arrows(drawing: Drawing) -> set[str]:
    """The arrows as `source > target`, with the label and a `~` for those aside."""
    names = {box.id: box.title for box in drawing.root.boxes()}
    return {
        f"{names[each.source]} {'~' if each.aside else ''}{each.label}> {names[each.target]}"
        for each in drawing.arrows
    }


def graph(*args: str, text: str | None = None) -> Result:
    return CliRunner().invoke(graph_command, args, input=text, catch_exceptions=False)


def test_tasks_follow_each_other_from_the_flow_on() -> None:
    assert arrows(drawn(flow(f"{log('a')}, {log('b')}"))) == {"n.f > a", "a > b"}


def test_branches_of_an_if_are_named_and_the_missing_one_goes_past() -> None:
    choice = flowable("i", "If", f"condition: x, then: [{log('good')}]")

    assert arrows(drawn(flow(f"{choice}, {log('z')}"))) == {
        *("n.f > i", "i then> good", "good > z", "i else> z"),
    }


def test_cases_of_a_switch_are_named() -> None:
    cases = f"value: x, cases: {{EU: [{log('a')}], 'US 1': [{log('b')}]}}, defaults: [{log('c')}]"

    found = arrows(drawn(flow(flowable("s", "Switch", cases))))

    assert found == {"n.f > s", "s EU> a", "s US 1> b", "s defaults> c"}


def test_tasks_of_a_dag_come_after_those_they_depend_on() -> None:
    nodes = f"{{task: {log('a')}}}, {{task: {log('b')}}}, {{task: {log('c')}, dependsOn: [a, b]}}"

    found = arrows(drawn(flow(f"{flowable('d', 'Dag', f'tasks: [{nodes}]')}, {log('z')}")))

    assert found == {"n.f > d", "d > a", "d > b", "a > c", "b > c", "c > z"}


def test_parallel_tasks_begin_and_end_beside_each_other() -> None:
    both = flowable("p", "Parallel", f"tasks: [{log('a')}, {log('b')}]")

    assert arrows(drawn(flow(f"{both}, {log('z')}"))) == {
        *("n.f > p", "p > a", "p > b", "a > z", "b > z"),
    }


def test_a_loop_goes_back_to_itself_and_on_from_there() -> None:
    loop = flowable("l", "ForEach", f"values: [1], tasks: [{log('a')}, {log('b')}]")

    assert arrows(drawn(flow(f"{loop}, {log('z')}"))) == {
        *("n.f > l", "l > a", "a > b", "b ~next> l", "l > z"),
    }


def test_errors_finally_and_after_execution_of_the_flow_are_drawn() -> None:
    rest = f"errors: [{log('e')}]\nfinally: [{log('g')}]\nafterExecution: [{log('h')}]\n"

    assert arrows(drawn(flow(log("a"), rest))) == {
        *("n.f > a", "n.f ~errors> e", "a finally> g", "e finally> g", "g afterExecution> h"),
    }


def test_errors_of_a_flowable_lead_nowhere_unless_it_has_a_finally() -> None:
    with_errors = flowable("s", "Sequential", f"tasks: [{log('a')}], errors: [{log('e')}]")
    shared = f"tasks: [{log('b')}], errors: [{log('x')}], finally: [{log('y')}]"
    with_both = flowable("t", "Sequential", shared)

    assert arrows(drawn(flow(f"{with_errors}, {with_both}, {log('z')}"))) == {
        *("n.f > s", "s > a", "s ~errors> e", "a > t"),
        *("t > b", "t ~errors> x", "b finally> y", "x finally> y", "y > z"),
    }


def test_triggers_lead_to_the_flow() -> None:
    daily = f'triggers: [{{id: daily, type: {CORE}.trigger.Schedule, cron: "0 9 * * *"}}]\n'

    drawing = drawn(flow(log("a"), daily))

    assert "daily > n.f" in arrows(drawing)
    assert "Schedule: 0 9 * * *" in {box.about for box in drawing.root.boxes()}


def test_what_is_disabled_is_dashed() -> None:
    text = drawn(flow(log("a", ", disabled: true")))

    assert "class n1 disabled" in mermaid(text)
    assert 'n1 [label="a\\nLog", shape=box, style=dashed];' in dot(text)


def test_texts_of_the_author_are_no_markup() -> None:
    evil = 'a"]; <b>#1</b> `x` \\\\ end'
    drawing = drawn(flow(flowable("i", "If", f"condition: '{evil}', then: [{log('a')}]")))

    chart, graphviz = mermaid(drawing), dot(drawing)

    assert "#34;]; #60;b#62;#35;1#60;/b#62; #96;x#96; #92;#92; end" in chart
    assert 'a\\"]; <b>#1</b> `x` \\\\\\\\ end' in graphviz


def test_a_long_text_is_cut_and_one_of_several_lines_is_one_line() -> None:
    condition = "first\\nsecond " + "x" * 100

    drawing = drawn(flow(flowable("i", "If", f'condition: "{condition}", then: [{log("a")}]')))

    (about,) = [box.about for box in drawing.root.boxes() if box.title == "i"]
    assert about.startswith("If: first\\nsecond xxx")
    assert about.endswith("x…")
    assert len(about) == len("If: ") + 60


def flows_of_the_tests() -> Iterator[Path]:
    for path in sorted((ROOT / "tests").rglob("*.yaml")):
        try:
            load_file(path)
        except FlowInvalid:
            continue
        yield path


@pytest.mark.parametrize("path", list(flows_of_the_tests()), ids=lambda path: path.stem)
def test_every_task_has_a_box_that_an_arrow_leads_to(path: Path) -> None:
    loaded = load_file(path)

    drawing = drawn(loaded)

    boxes = list(drawing.root.boxes())
    tasks = {box.id: box.title for box in boxes if box.shape not in ("flow", "trigger")}
    reached = {arrow.target for arrow in drawing.arrows}
    assert sorted(tasks.values()) == sorted(task.id for task in loaded.walk())
    assert set(tasks) <= reached
    assert [task.id for task in loaded.walk() if task.id not in tree(loaded)] == []


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", PAGE.read_text(), re.S)


def test_the_page_shows_what_is_printed(tmp_path: Path) -> None:
    (text,) = blocks("yaml")
    file = tmp_path / "orders.yaml"
    file.write_text(text)

    assert graph(str(file)).stdout == blocks("mermaid")[0]
    assert graph("-", "--output", "tree", text=text).stdout == blocks("text")[0]


def test_a_flow_with_mistakes_is_not_drawn(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(f"id: f\nnamespace: n\ntasks: [{log('a', ', mesage: x')}]\n")

    result = graph(str(file))

    assert (result.exit_code, result.stdout) == (2, "")
    assert 'Unrecognized field "mesage"' in result.stderr
