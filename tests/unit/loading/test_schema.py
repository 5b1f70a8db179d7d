"""The schema for editors accepts what loads, and catches what does not."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema_rs
import pytest
from click.testing import CliRunner

from runner.cli.schema import schema_command
from runner.errors import FlowInvalid, SettingInvalid
from runner.loading.flow import load
from runner.loading.schema import schema_of
from runner.loading.source import plain, read
from runner.model.catalog import catalog

ROOT = Path(__file__).parents[3]
EXAMPLES = sorted((ROOT / "flows").rglob("*.y*ml"))
RECORDED = sorted((ROOT.parent / "shared" / "conformance" / "flows").glob("*.yaml"))
SCHEMA = schema_of()

STRICTER = {
    # Numbers where text belongs lose their zeros; these flows are about that.
    *("d154_kv_set_literal_kinds", "d196_yaml_scalars_in_text_property"),
    *("d260_task_id_is_a_number", "d65_input_default_list_scalar_kinds"),
    # They load, and fail when they run.
    *("d243_list_for_map", "d63_input_default_wrong_type", "q109_runner_as_text"),
    *("q112_env_as_list", "q113_output_files_as_text", "q117_pull_policy_unknown"),
    *("q122_package_manager_unknown", "q70_commands_forms", "q79_target_os_unknown"),
    # A truth value as text, and a property that only the plugin defaults give.
    *("d240_boolean_as_text", "d288_plugin_defaults_required_property"),
}
"""Recorded flows that load and that an editor warns of on purpose."""

VALIDATOR = jsonschema_rs.Draft7Validator(SCHEMA)


def of_text(text: str) -> list[str]:
    """What a validator of JSON Schema says of a flow's text."""
    return [error.message for error in VALIDATOR.iter_errors(plain(read(text)))]


def test_it_is_a_schema_of_draft_7() -> None:
    jsonschema_rs.meta.validate(SCHEMA)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_fits_the_schema(example: Path) -> None:
    assert of_text(example.read_text(encoding="utf-8")) == []


@pytest.mark.skipif(not RECORDED, reason="the recorded flows are not beside the repository")
def test_what_kestra_takes_fits_the_schema_but_for_known_cases() -> None:
    flagged: set[str] = set()
    for flow in RECORDED:
        text = flow.read_text(encoding="utf-8")
        try:
            load(text)
        except FlowInvalid:
            continue
        if of_text(text):
            flagged.add(flow.stem)

    assert flagged == STRICTER


def test_the_usual_mistakes_do_not_fit() -> None:
    good = """id: x
namespace: a
tasks: [{id: t, type: io.kestra.plugin.core.log.Log, message: x, level: "{{ l }}"}]
"""
    assert of_text(good) == []
    for wrong in (
        good.replace("message", "mesage"),
        good.replace("log.Log", "log.Logg"),
        good.replace('"{{ l }}"', "LOUD"),
        good.replace("namespace: a", "name: a"),
        good.replace("id: t", "id: t.t"),
        good + "disabled: perhaps\n",
        good + "inputs: [{id: i, type: TEXT}]\n",
        good + "retry: {type: constant}\n",
        good + "concurrency: {limit: 0}\n",
        good + "triggers: {}\n",
    ):
        assert of_text(wrong) != []


def test_the_usual_mistakes_do_not_fit_deep_inside_either() -> None:
    core = "io.kestra.plugin.core"
    log = f"{{id: l, type: {core}.log.Log, message: x}}"
    runner = f"taskRunner: {{type: {core}.runner.Process}}"
    shell = f"{{id: s, type: io.kestra.plugin.scripts.shell.Commands, commands: [x], {runner}}}"
    tasks = f"""id: x
namespace: a
tasks:
  - {{id: each, type: {core}.flow.ForEach, values: [1], tasks: [{log}]}}
  - {{id: way, type: {core}.flow.Switch, value: x, cases: {{a: [{log}]}}}}
  - {{id: dag, type: {core}.flow.Dag, tasks: [{{task: {shell}, dependsOn: []}}]}}
  - {{id: loop, type: {core}.flow.Loop, values: [1], tasks: [{log}]}}
errors: [{log}]
triggers:
  - id: up
    type: {core}.trigger.Flow
    dependsOn: [{{namespace: a, flowId: b}}]
    conditions: [{{type: {core}.condition.ExecutionStatus, in: [FAILED]}}]
  - {{id: daily, type: {core}.trigger.Schedule, cron: "0 9 * * *"}}
"""
    assert of_text(tasks) == []
    for right, wrong in {
        "values: [1], tasks": "value: [1], tasks",
        f"tasks: [{log}]}}\n  - {{id: way": f"tasks: {log}}}\n  - {{id: way",
        f"a: [{log}]": f"a: [{log.replace('message', 'mesage')}]",
        "commands: [x]": "command: [x]",
        f"{core}.runner.Process": f"{core}.runner.Proces",
        "dependsOn: []": "dependsOn: {}",
        f"errors: [{log}]": f"errors: [{log.replace('l, type', 'l, typ')}]",
        "flowId: b": "flow: b",
        "in: [FAILED]": "in: [FAIL]",
        "cron: ": "crn: ",
    }.items():
        assert right in tasks
        assert of_text(tasks.replace(right, wrong)) != [], wrong


def test_types_of_other_plugins_fit() -> None:
    text = "id: x\nnamespace: a\ntasks: [{id: t, type: io.kestra.plugin.git.Clone, url: u}]\n"

    assert of_text(text) == []


def test_every_type_has_a_definition_that_names_what_it_needs() -> None:
    for name in catalog().names():
        definition = SCHEMA["definitions"][name]
        assert definition["properties"]["type"] == {"const": name}
        assert "type" in definition["required"]
    log = SCHEMA["definitions"]["io.kestra.plugin.core.log.Log"]
    assert log["required"] == ["type", "id", "message"]
    assert SCHEMA["definitions"]["io.kestra.core.tasks.log.Log"]["deprecated"] is True


def test_every_reference_leads_somewhere() -> None:
    text = json.dumps(SCHEMA)

    for name in set(re.findall(r'"#/definitions/([^"]+)"', text)):
        assert SCHEMA["definitions"][name]


def test_the_command_prints_the_schema_or_writes_it(tmp_path: Path) -> None:
    printed = CliRunner().invoke(schema_command, ["task"])
    file = tmp_path / "new" / "flow.schema.json"
    written = CliRunner().invoke(schema_command, ["-f", str(file)])

    assert json.loads(printed.stdout)["$ref"] == "#/definitions/Task"
    assert written.exit_code == 0
    assert json.loads(file.read_text(encoding="utf-8")) == SCHEMA
    nowhere = CliRunner().invoke(schema_command, ["-f", f"{file}/below"])
    assert isinstance(nowhere.exception, SettingInvalid)
