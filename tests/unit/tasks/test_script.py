"""Script tasks as processes: command lines, environment, endings, the folder (script-tasks 2-5)."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import anyio
import pytest
from script_bench import PROCESS, Bench

from runner.errors import TaskFailed
from runner.model.execution import Level, Outputs
from runner.tasks.languages import COMMANDS_TYPES, LANGUAGES, SCRIPT_TYPES
from runner.tasks.registry import registered
from runner.tasks.script import CommandFailed, run_commands, run_script


def bench(folder: Path, type_: str = "shell.Commands", **properties: Any) -> Bench:
    return Bench(folder, type_, {"taskRunner": PROCESS, **properties})


async def run(ctx: Bench) -> Outputs:
    work = run_script if ctx.type.endswith("Script") else run_commands
    async with ctx.leaving:
        result = await work(ctx)
    assert result is not None and result.outputs is not None
    return result.outputs


async def failure(ctx: Bench) -> TaskFailed:
    with pytest.raises(TaskFailed) as caught:
        await run(ctx)
    return caught.value


def test_every_language_has_both_task_types() -> None:
    assert len(LANGUAGES) == 16
    assert all(registered(type_) for type_ in (*SCRIPT_TYPES, *COMMANDS_TYPES))


async def test_all_lines_share_one_shell_that_stops_at_the_first_error(tmp_path: Path) -> None:
    ctx = bench(
        tmp_path,
        beforeCommands=["export A=1", "cd .."],
        commands=["echo $A $(basename $PWD)", "false", "echo never"],
    )

    error = await failure(ctx)

    assert isinstance(error, CommandFailed)
    assert str(error) == "Command failed with exit code 1"
    assert error.outputs == {"vars": {}, "exitCode": 1, "outputFiles": {}}
    assert ctx.commands[0].argv[2].startswith("set -e\nexport A=1\ncd ..\necho $A")
    assert [line[:2] for line in ctx.lines()] == ["1 "]
    assert ctx.left() == []


async def test_without_fail_fast_later_lines_run(tmp_path: Path) -> None:
    ctx = bench(tmp_path, failFast="{{ false }}", commands=["false", None, "echo two"])

    assert await run(ctx) == {"vars": {}, "exitCode": 0, "outputFiles": {}}
    assert ctx.lines() == ["two"]


async def test_perl_commands_do_not_stop_at_the_first_error(tmp_path: Path) -> None:
    ctx = bench(tmp_path, "perl.Commands", commands=["false", "echo on"])

    await run(ctx)

    assert ctx.lines() == ["on"]


async def test_without_interpreter_the_commands_are_the_command_line(tmp_path: Path) -> None:
    ctx = bench(tmp_path, interpreter=[], commands=["echo", "a  b", "$HOME"])

    await run(ctx)

    assert ctx.lines() == ["a  b $HOME"]


async def test_without_interpreter_before_commands_make_it_one_name_of_a_program(
    tmp_path: Path,
) -> None:
    ctx = bench(tmp_path, interpreter=[], beforeCommands=["echo"], commands=["a"])

    assert str(await failure(ctx)) == "Exec failed, error: 2 (No such file or directory) "
    assert ctx.lines(Level.ERROR)[0].startswith('Cannot run program "set -e\necho\na"')


async def test_a_windows_target_joins_lines_as_windows_does(tmp_path: Path) -> None:
    ctx = bench(tmp_path, targetOS="WINDOWS", commands=["sleep 0 && echo one"])

    await run(ctx)

    assert ctx.commands[0].argv[2] == "\r\nsleep 0 && echo one"
    assert ctx.lines() == ["one"]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("targetOS", "MACOS", "Invalid targetOS 'MACOS': one of AUTO, LINUX, WINDOWS is needed"),
        ("taskRunner", PROCESS["type"], "Invalid taskRunner 'io.kestra"),
        ("taskRunner", {"type": "x.y.Kubernetes"}, "Eyas has no task runner 'x.y.Kubernetes'"),
        ("env", {"A": [1]}, "java.lang.String"),
        ("env", {"A=B": "1"}, "Invalid env: 'A=B'"),
        ("commands", ["echo", True], "java.lang.Boolean"),
        ("outputFiles", ["[a"], "Invalid pattern '[a'"),
    ],
)
async def test_a_wrong_property_fails_the_run_and_names_it(
    tmp_path: Path, name: str, value: Any, message: str
) -> None:
    ctx = bench(tmp_path, commands=["true"])
    ctx.properties[name] = value

    assert message in str(await failure(ctx))
    assert ctx.left() == []


async def test_kestras_variables_win_over_the_authors(tmp_path: Path) -> None:
    ctx = bench(
        tmp_path,
        "node.Commands",
        env={"WORKING_DIR": "/x", "PYTHONUNBUFFERED": "no", "N": 1.5, "T": True, "E": None},
        commands=['echo "$WORKING_DIR $PYTHONUNBUFFERED $N $T ${E-unset} $PWD"'],
    )

    await run(ctx)

    folder = str(ctx.commands[0].workdir)
    assert ctx.lines() == [f"{folder} true 1.5 true unset {folder}"]


async def test_the_working_directory_is_no_variable_of_env(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="workingDir"):
        await run(bench(tmp_path, env={"D": "{{ workingDir }}"}, commands=["true"]))


async def test_a_template_in_rendered_text_is_kept_and_kestra_is_said_to_differ(
    tmp_path: Path,
) -> None:
    raw = "{% raw %}{{ kept }}{% endraw %}"
    ctx = bench(
        tmp_path,
        "python.Script",
        env={"A": raw},
        inputFiles={"f.txt": raw},
        script=f"import os; print(os.environ['A'], open('f.txt').read(), '{raw}')",
    )

    await run(ctx)

    assert ctx.lines() == ["{{ kept }} {{ kept }} {{ kept }}"]
    assert [line.split(" still")[0] for line in ctx.lines(Level.WARN)] == [
        "inputFiles: f.txt",
        "script",
        "env: A",
    ]


async def test_kestra_renders_commands_and_their_files_once_so_nothing_is_said(
    tmp_path: Path,
) -> None:
    raw = "{% raw %}{{ kept }}{% endraw %}"
    ctx = bench(tmp_path, inputFiles={"f.txt": raw}, commands=["cat f.txt"])

    await run(ctx)

    assert (ctx.lines(), ctx.lines(Level.WARN)) == (["{{ kept }}"], [])


async def test_a_script_too_long_for_one_argument_still_runs(tmp_path: Path) -> None:
    text = "x" * 200_000
    ctx = bench(tmp_path, "shell.Script", script=f"A='{text}'\necho ${{#A}}; exit 3")

    # `#` after a brace is a comment to the expression language, hence raw.
    ctx.properties["script"] = "{% raw %}" + ctx.properties["script"] + "{% endraw %}"
    error = await failure(ctx)

    assert (ctx.lines(), str(error)) == (["200000"], "Command failed with exit code 3")


@pytest.mark.parametrize(
    ("command", "hint"),
    [
        ("no-such-program", "127 (a program was not found: is it in the PATH of this machine?)"),
        ("./a.txt", "126 (a program was found but could not be executed: check its mode)"),
        ("kill -9 $$", "137 (ended by SIGKILL)"),
        ("exit 4", "4"),
    ],
)
async def test_an_exit_code_that_means_something_is_explained(
    tmp_path: Path, command: str, hint: str
) -> None:
    ctx = bench(tmp_path, inputFiles={"a.txt": "a"}, commands=[command])

    assert str(await failure(ctx)) == f"Command failed with exit code {hint}"


async def test_a_folder_for_output_is_always_there_and_collected_when_asked_for(
    tmp_path: Path,
) -> None:
    plain = bench(tmp_path, commands=["ls | wc -l"])
    asked = bench(
        tmp_path,
        outputDirectory=True,
        commands=['mkdir "{{ outputDir }}/sub"', 'echo 2 > "$OUTPUT_DIR/sub/two.txt"'],
    )

    await run(plain)
    outputs = await run(asked)

    assert [line.strip() for line in plain.lines()] == ["1"]
    assert list(outputs["outputFiles"]) == ["sub/two.txt"]


async def test_files_of_a_failed_script_are_collected(tmp_path: Path) -> None:
    ctx = bench(tmp_path, outputFiles=["*.txt"], commands=["echo part > a.txt", "exit 9"])

    error = await failure(ctx)

    assert isinstance(error, CommandFailed)
    uri = error.outputs["outputFiles"]["a.txt"]
    assert ctx.storage.open(uri).read_text() == "part\n"


async def test_a_shared_folder_stays_and_keeps_what_was_not_collected(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    ctx = bench(tmp_path, outputFiles=["a"], commands=["echo 1 > a", "echo 2 > b"])
    ctx.shared_dir = shared

    await run(ctx)

    assert sorted(path.name for path in shared.iterdir() if path.is_file()) == ["b"]


async def test_a_read_only_folder_goes_away_too(tmp_path: Path) -> None:
    ctx = bench(tmp_path, commands=["mkdir -p a/b", "touch a/b/c", "chmod 500 a/b a"])

    await run(ctx)

    assert (ctx.left(), ctx.lines(Level.WARN)) == ([], [])


async def test_a_cancelled_script_leaves_no_folder(tmp_path: Path) -> None:
    ctx = bench(tmp_path, commands=["touch started", "exec sleep 60"])

    async with anyio.create_task_group() as group:
        group.start_soon(run, ctx)
        while not list(ctx.temp.glob("*/*/started")):
            await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()

    assert ctx.left() == []
    assert any(line.startswith("Killing") for line in ctx.lines(Level.WARN))


async def test_the_execution_context_is_a_file_only_while_the_command_runs(tmp_path: Path) -> None:
    ctx = bench(
        tmp_path,
        executionContext=True,
        outputFiles=[".*"],
        commands=[
            'cat "$KESTRA_EXECUTION_CONTEXT_FILE"; stat -c %a .kestra-execution-context.json'
        ],
    )
    ctx.variables["inputs"] = {"a": 1}

    outputs = await run(ctx)

    assert ctx.lines() == ['{"inputs":{"a":1},"flow":{"id":"f","namespace":"a.b"}}600']
    assert outputs["outputFiles"] == {}


async def test_settings_can_make_every_script_a_process(tmp_path: Path) -> None:
    ctx = Bench(tmp_path, properties={"commands": ["echo x"]}, task_runner="process")

    await run(ctx)

    assert (ctx.lines(), ctx.runners.asked) == (["x"], [])


@pytest.mark.parametrize(
    ("properties", "image", "entry_point"),
    [
        ({}, "ubuntu", ("",)),
        ({"containerImage": "{{ 'i' }}:1"}, "i:1", ("",)),
        (
            {"taskRunner": {"type": "io.kestra.plugin.scripts.runner.docker.Docker", "image": "r"}},
            "r",
            ("",),
        ),
        ({"docker": {"image": "d"}, "containerImage": "c"}, "d", None),
        ({"runner": "DOCKER", "containerImage": "c"}, "c", None),
        (
            {"runner": "DOCKER", "taskRunner": PROCESS, "docker": {"entryPoint": ["e"]}},
            "ubuntu",
            ("e",),
        ),
    ],
)
async def test_the_container_follows_from_new_and_old_properties(
    tmp_path: Path, properties: dict[str, Any], image: str, entry_point: tuple[str, ...] | None
) -> None:
    ctx = Bench(tmp_path, properties={"commands": ["true"], **properties})

    await run(ctx)

    (options,) = ctx.runners.asked
    assert (options.image, options.entry_point) == (image, entry_point)


async def test_a_runner_of_old_is_a_process_with_an_output_folder(tmp_path: Path) -> None:
    ctx = Bench(tmp_path, properties={"runner": "PROCESS", "commands": ["echo ${OUTPUT_DIR:+set}"]})

    await run(ctx)

    assert (ctx.lines(), ctx.runners.asked) == (["set"], [])


async def test_options_of_the_runner_are_rendered(tmp_path: Path) -> None:
    docker = "io.kestra.plugin.scripts.runner.docker.Docker"
    runner = {"type": docker, "user": "{{ 1000 }}", "memory": {"memory": "{{ 64 }}MB"}}
    ctx = Bench(tmp_path, properties={"commands": ["true"], "taskRunner": runner})

    await run(ctx)

    (options,) = ctx.runners.asked
    assert (options.user, options.memory) == ("1000", 64 * 1024**2)


async def test_groovy_runs_as_root_unless_the_author_says_otherwise(tmp_path: Path) -> None:
    users: list[str | None] = []
    for extra in ({}, {"user": "me"}):
        runner = {"type": "io.kestra.plugin.scripts.runner.docker.Docker", **extra}
        ctx = Bench(tmp_path, "groovy.Commands", {"commands": ["true"], "taskRunner": runner})
        await run(ctx)
        users.append(ctx.runners.asked[0].user)

    assert users == ["root", "me"]


async def test_the_docker_configuration_is_a_file_of_the_script(tmp_path: Path) -> None:
    runner = {"type": "io.kestra.plugin.scripts.runner.docker.Docker", "config": '{"auths": {}}'}
    ctx = Bench(tmp_path, properties={"commands": ["cat config.json"], "taskRunner": runner})

    await run(ctx)

    assert ctx.lines() == ['{"auths":{}}']


@pytest.mark.parametrize(
    ("type_", "properties", "expected"),
    [
        ("ruby.Script", {}, "set -e\nruby X.rb"),
        ("r.Script", {}, "set -e\nRscript X.R"),
        ("php.Script", {}, "set -e\nphp X.js"),
        ("go.Script", {}, "set -e\ngo run X.go"),
        ("perl.Script", {}, "set -e\nperl X.pl"),
        ("jbang.Script", {}, "set -e\njbang --quiet X.java"),
        ("jbang.Script", {"quiet": False, "extension": ".kt"}, "set -e\njbang X.kt"),
        ("powershell.Script", {}, "$ErrorActionPreference = 'Stop'\nX.ps1"),
        ("python.Script", {"interpreter": ["/bin/fish", "-c"]}, "set -e\npython X.py"),
    ],
)
async def test_a_script_file_is_run_by_its_languages_program(
    tmp_path: Path, type_: str, properties: dict[str, Any], expected: str
) -> None:
    # The interpreter only prints what it is to run.
    fake = shutil.copy("/bin/echo", tmp_path / Path(properties.get("interpreter", ["sh"])[0]).name)
    ctx = bench(tmp_path, type_, **properties, script="x")
    ctx.properties["interpreter"] = [str(fake), "-c"]

    await run(ctx)

    (command,) = ctx.commands
    name = next(path for path in command.argv[2].split() if path.startswith(str(command.workdir)))
    assert command.argv[2].replace(name, f"X{Path(name).suffix}") == expected
    assert Path(name).stem.isdigit()


async def test_files_in_the_folder_have_modes_that_any_user_can_read(tmp_path: Path) -> None:
    ctx = bench(
        tmp_path,
        "python.Script",
        inputFiles={"d/a.txt": "a"},
        script="import os; print(*(oct(os.stat(p).st_mode)[-3:] for p in ('.', 'd', 'd/a.txt')))",
    )
    mask = os.umask(0o077)
    try:
        await run(ctx)
    finally:
        os.umask(mask)

    assert ctx.lines() == ["755 755 644"]
