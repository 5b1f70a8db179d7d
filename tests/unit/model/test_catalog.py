from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from runner.model.catalog import canonical, catalog, type_expression

ROOT = Path(__file__).parents[3]
SPEC = ROOT.parent / "shared" / "spec"


@pytest.mark.skipif(not SPEC.exists(), reason="the specification is not beside the repository")
def test_the_catalogue_is_what_its_script_makes_of_the_specification(tmp_path: Path) -> None:
    made = tmp_path / "types.json"

    script = ROOT / "tests" / "setup" / "make_types.py"
    subprocess.run([sys.executable, str(script), str(SPEC), str(made)], check=True)

    assert made.read_bytes() == (ROOT / "runner" / "model" / "types.json").read_bytes()


def test_an_old_name_finds_the_type_under_its_current_name() -> None:
    found = catalog().task("io.kestra.core.tasks.flows.Worker")

    assert found is not None
    assert found.name == "io.kestra.plugin.core.flow.WorkingDirectory"
    assert canonical("io.kestra.core.tasks.log.Log") == "io.kestra.plugin.core.log.Log"
    assert canonical("no.such.Type") == "no.such.Type"


def test_a_name_is_found_under_its_own_kind_only() -> None:
    name = "io.kestra.plugin.core.trigger.Schedule"

    assert catalog().task(name) is None
    found = catalog().trigger(name)
    assert found is not None
    assert found.properties["cron"].required
    assert found is catalog().any_kind(name)


def test_a_task_has_the_properties_of_all_tasks_and_its_own() -> None:
    found = catalog().task("io.kestra.plugin.scripts.python.Script")

    assert found is not None
    assert found.properties["script"].required
    assert found.properties["containerImage"].default == "python:3.13-slim"
    assert "timeout" in found.base
    assert "script" not in found.base
    assert not found.is_flowable


@pytest.mark.parametrize(
    ("language", "image"),
    [("ruby", "ruby"), ("go", "golang"), ("bun", "oven/bun"), ("node", "node"), ("r", "r-base")],
)
def test_every_language_has_script_and_commands(language: str, image: str) -> None:
    for kind in ("Script", "Commands"):
        found = catalog().task(f"io.kestra.plugin.scripts.{language}.{kind}")
        assert found is not None
        assert found.properties["containerImage"].default == image


def test_every_type_of_the_catalogue_can_be_looked_up() -> None:
    types = list(catalog().names())

    assert len(types) > 100
    for name in types:
        found = catalog().any_kind(name)
        assert found is not None
        for info in found.properties.values():
            assert str(type_expression(str(info.type))) == str(info.type)
            if info.alias:
                assert info.alias in found.properties


def test_models_of_properties_are_there() -> None:
    named = [
        option
        for name in catalog().names()
        for info in (catalog().any_kind(name) or pytest.fail(name)).properties.values()
        for option in (info.type, info.type.item, *info.type.options)
        if option is not None and option.kind == "model"
    ]

    assert named
    for option in named:
        assert catalog().model(option.name).name == option.name


def test_a_type_expression_is_read_with_its_nesting() -> None:
    parsed = type_expression("string|map<list<Task>>")

    assert [option.kind for option in parsed.options] == ["string", "map"]
    inner = parsed.options[1].item
    assert inner is not None
    assert inner.kind == "list"
    assert str(inner.item) == "Task"
    assert type_expression("list<'a'|'b'>").item == type_expression("'a'|'b'")


def test_only_names_of_other_plugins_count_as_known_elsewhere() -> None:
    is_elsewhere = catalog().is_elsewhere

    assert is_elsewhere("io.kestra.plugin.git.Clone")
    assert is_elsewhere("io.kestra.plugin.aws.some.Thing")
    assert not is_elsewhere("io.kestra.plugin.core.Nope")
    assert not is_elsewhere("io.kestra.plugin.core.log.Nope")
    assert not is_elsewhere("io.kestra.plugin.scripts.python.Nope")
    assert not is_elsewhere("com.acme.Task")


def test_a_removed_type_names_what_replaces_it() -> None:
    replacement = catalog().replacement("io.kestra.core.tasks.scripts.Bash")

    assert replacement == "io.kestra.plugin.scripts.shell.Commands"
    assert catalog().task(replacement) is not None
    assert catalog().replacement("io.kestra.plugin.core.log.Log") is None
