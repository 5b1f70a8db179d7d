"""`eyas run`, as a person or a script uses it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from command import Eyas

PROCESS = "{type: io.kestra.plugin.core.runner.Process}"


def core(id_: str, type_: str, **properties: object) -> str:
    """A core task; its type without the common beginning."""
    task = {"id": id_, "type": f"io.kestra.plugin.core.{type_}", **properties}
    return f"  - {json.dumps(task)}\n"


LOG = core("hello", "log.Log", message="hello")
FAIL = core("bad", "execution.Fail", errorMessage="no luck")


def shell(id_: str, *commands: str, more: str = "") -> str:
    """A task that runs commands as a local process."""
    return (
        f"  - id: {id_}\n    type: io.kestra.plugin.scripts.shell.Commands\n"
        f"    taskRunner: {PROCESS}\n    commands: {json.dumps(commands)}\n{more}"
    )


def python(id_: str, script: str) -> str:
    """A task that runs a Python script as a local process."""
    lines = "".join(f"      {line}\n" for line in script.splitlines())
    return (
        f"  - id: {id_}\n    type: io.kestra.plugin.scripts.python.Script\n"
        f"    taskRunner: {PROCESS}\n    script: |\n{lines}"
    )


SCRIPT = python(
    "count",
    "from kestra import Kestra\nprint('counting')\n"
    "Kestra.outputs({'rows': 3})\nKestra.counter('rows', 3, {'table': 't'})",
)


def test_a_script_talks_back_without_installing_anything(eyas: Eyas) -> None:
    use = core("use", "debug.Return", format="{{ outputs.count.vars.rows + 1 }}")
    ended = eyas("run", eyas.flow("talk", SCRIPT + use))

    assert ended.returncode == 0, ended.stderr
    assert "INFO  count | counting" in ended.stdout
    assert "count.vars.rows = 3" in ended.stdout
    assert "use.value = 4" in ended.stdout
    assert "count.rows = 3 (counter) table=t" in ended.stdout
    assert "test.acceptance.talk SUCCESS" in ended.stdout


def test_a_heading_without_anything_under_it_is_left_out(eyas: Eyas) -> None:
    ended = eyas("run", eyas.flow("nothing", shell("s", "echo hi")))

    assert ended.returncode == 0, ended.stderr
    assert "Outputs" not in ended.stdout


@pytest.mark.parametrize(
    ("tasks", "status"),
    [
        (LOG, 0),
        (core("bad", "execution.Fail", allowFailure=True), 0),
        (FAIL, 1),
        (shell("code", "exit 7"), 1),
        (core("hello", "log.Log", mesage="hello"), 2),
    ],
    ids=["success", "warning", "failed", "exit code", "invalid flow"],
)
def test_the_exit_status_says_how_it_ended(eyas: Eyas, tasks: str, status: int) -> None:
    assert eyas("run", eyas.flow("status", tasks)).returncode == status


def test_json_is_one_document_on_stdout_and_the_log_is_on_stderr(eyas: Eyas) -> None:
    ended = eyas("run", eyas.flow("document", SCRIPT), "--output", "json")

    document: dict[str, Any] = json.loads(ended.stdout)
    (run,) = document["taskRunList"]
    assert document["state"]["current"] == "SUCCESS"
    assert [change["state"] for change in run["state"]["histories"]] == [
        "CREATED",
        "SUBMITTED",
        "RUNNING",
        "SUCCESS",
    ]
    assert run["outputs"] == {"vars": {"rows": 3}, "exitCode": 0, "outputFiles": {}}
    assert "counting" in ended.stderr


def test_jsonl_is_an_event_a_line(eyas: Eyas) -> None:
    ended = eyas("run", eyas.flow("events", SCRIPT), "--output", "jsonl")

    events = [json.loads(line) for line in ended.stdout.splitlines()]
    kinds = {event["event"] for event in events}
    assert {"log", "taskrun", "execution", "metric", "end"} <= kinds
    assert [e["message"] for e in events if e.get("level") == "INFO"] == ["counting"]
    assert [e["state"] for e in events if e["event"] == "execution"][-1] == "SUCCESS"


def test_quiet_says_only_what_went_wrong(eyas: Eyas) -> None:
    fine = eyas("run", eyas.flow("fine", LOG), "--output", "quiet")
    bad = eyas("run", eyas.flow("bad", FAIL), "--output", "quiet")

    assert (fine.stdout, fine.stderr) == ("", "")
    assert bad.stdout == ""
    assert bad.stderr == "eyas: test.acceptance.bad ended FAILED (tasks: bad)\n"


def test_inputs_come_from_options_and_a_file_and_the_option_wins(
    eyas: Eyas, tmp_path: Path
) -> None:
    inputs = "inputs: [{id: a, type: STRING}, {id: n, type: INT}, {id: f, type: FILE}]\n"
    log = core("l", "log.Log", message="{{ inputs.a }} {{ inputs.n + 1 }} {{ read(inputs.f) }}")
    (tmp_path / "given.yaml").write_text("a: file\nn: 4\n")
    (tmp_path / "data.txt").write_text("content")
    flow = eyas.flow("inputs", log, inputs)

    ended = eyas("run", flow, "--inputs", "given.yaml", "-i", "a=option", "-i", "f=data.txt")

    assert "option 5 content" in ended.stdout, ended.stderr


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ([], "Missing required input:n"),
        (["-i", "n=x"], "Invalid value for input `n`"),
        (["-i", "n"], "-i KEY=VALUE"),
        (["--inputs", "absent.yaml"], "absent.yaml"),
        (["-i", "n=1", "--labels", "x"], "--labels KEY:VALUE"),
        (["-i", "n=1", "--set", "x=1"], "--set pluginDefaults.TYPE.PROPERTY=VALUE"),
    ],
)
def test_wrong_inputs_and_options_are_one_message_and_status_2(
    eyas: Eyas, args: list[str], says: str
) -> None:
    ended = eyas("run", eyas.flow("wrong", LOG, "inputs: [{id: n, type: INT}]\n"), *args)

    assert ended.returncode == 2
    assert says in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_wrong_input_names_the_file_and_what_the_flow_takes(eyas: Eyas) -> None:
    inputs = "inputs:\n- {id: n, type: INT}\n- {id: day, type: DATE, defaults: 2026-01-02}\n"
    inputs += "- {id: note, type: STRING, required: false}\n"

    ended = eyas("run", eyas.flow("wants", LOG, inputs))

    assert ended.returncode == 2
    assert ended.stderr == (
        f"eyas: {eyas.folder}/wants.yaml: Missing required input:n\n"
        "  = its inputs: n (INT, required), day (DATE, default 2026-01-02), note (STRING);"
        " give one with -i n=VALUE\n"
    )


def test_a_folder_is_no_flow(eyas: Eyas) -> None:
    (eyas.folder / "flows").mkdir()

    ended = eyas("run", "flows")

    assert ended.returncode == 2
    assert ended.stderr == "eyas: 'flows' is a folder. Name the file of one flow in it\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "pluginDefaults.io.kestra.plugin.core.log.Log.levle=WARN",
            "No property 'levle' exists in plugin 'io.kestra.plugin.core.log.Log'",
        ),
        (
            "pluginDefaults.io.kestra.plugin.core.log.Lgo.level=WARN",
            "no task, trigger or task runner has the type io.kestra.plugin.core.log.Lgo",
        ),
    ],
    ids=["property", "type"],
)
def test_a_default_that_fits_nothing_is_refused(eyas: Eyas, text: str, says: str) -> None:
    ended = eyas("run", eyas.flow("fits", LOG), "--set", text)

    assert ended.returncode == 2
    assert ended.stderr.startswith(f"eyas: '--set {text}': {says} (did you mean ")


def test_a_missing_file_is_one_message(eyas: Eyas) -> None:
    ended = eyas("run", "absent.yaml")

    assert ended.returncode == 2
    assert ended.stderr.startswith("eyas: There is no file 'absent.yaml'")


def test_a_broken_flow_shows_every_problem_with_its_line(eyas: Eyas, tmp_path: Path) -> None:
    tasks = "  - {id: a, type: io.kestra.plugin.core.log.Lgo, message: x}\n  - {id: a, tpye: y}\n"
    ended = eyas("run", eyas.flow("broken", tasks))

    assert ended.returncode == 2
    assert "broken.yaml:4:" in ended.stderr
    assert "broken.yaml:5:" in ended.stderr
    assert "io.kestra.plugin.core.log.Log" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_labels_and_plugin_defaults_can_be_given(eyas: Eyas) -> None:
    flow = eyas.flow("given", core("r", "debug.Return"))
    default = "pluginDefaults.io.kestra.plugin.core.debug.Return.format={{ labels.team }}"

    ended = eyas("run", flow, "--labels", "team:data", "--set", default)

    assert "r.value = data" in ended.stdout, ended.stderr


def test_a_subflow_is_found_in_the_folder_of_the_flow(eyas: Eyas) -> None:
    eyas.flow("child", LOG)
    sub = core("s", "flow.Subflow", namespace="test.acceptance", flowId="child")

    ended = eyas("run", eyas.flow("parent", sub))

    assert ended.returncode == 0, ended.stdout
    assert "hello" in ended.stdout


def test_ctrl_c_kills_the_execution_in_order(eyas: Eyas) -> None:
    tasks = shell("slow", "echo started", "sleep 300 & sleep 300") + LOG
    process = eyas.start("run", eyas.flow("killed", tasks), "--output", "jsonl")
    assert process.stdout is not None
    for line in process.stdout:
        if '"started"' in line:
            break
    process.send_signal(signal.SIGINT)

    rest, _ = process.communicate(timeout=30)

    document = json.loads(rest.splitlines()[-1])["execution"]
    assert process.returncode == 130
    assert document["state"]["current"] == "KILLED"
    assert [run["state"]["current"] for run in document["taskRunList"]] == ["KILLED"]


def test_a_second_ctrl_c_ends_at_once(eyas: Eyas) -> None:
    tasks = shell("stubborn", "trap '' TERM INT; echo $$; while :; do sleep 0.2; done")
    process = eyas.start("run", eyas.flow("stubborn", tasks), "--output", "jsonl")
    assert process.stdout is not None
    pid = next(int(json.loads(x)["message"]) for x in process.stdout if '"INFO"' in x)
    process.send_signal(signal.SIGINT)
    next(line for line in process.stdout if "KILLING" in line)
    process.send_signal(signal.SIGINT)

    process.communicate(timeout=30)

    assert process.returncode == 130
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_reader_that_goes_away_is_no_error(eyas: Eyas) -> None:
    process = eyas.start("run", eyas.flow("pipe", shell("s", "seq 1 200000")))
    assert process.stdout is not None and process.stderr is not None
    process.stdout.readline()
    process.stdout.close()

    assert "Traceback" not in process.stderr.read()
    assert process.wait(30) != 0


@pytest.mark.usefixtures("docker_engine")
def test_a_pull_that_is_tried_again_says_so_while_it_waits(eyas: Eyas) -> None:
    task = "  - id: s\n    type: io.kestra.plugin.scripts.shell.Commands\n    commands: [echo]\n"
    task += "    containerImage: 127.0.0.1:1/nobody/listens:1\n"
    process = eyas.start("run", eyas.flow("again", task))
    assert process.stderr is not None

    said = [process.stderr.readline(), process.stderr.readline()]
    process.send_signal(signal.SIGINT)

    assert said[0] == "eyas: Pulling image 127.0.0.1:1/nobody/listens:1\n"
    # The wait has chance in it, so that many clients do not come back at once.
    assert re.search(r"127.0.0.1:1/nobody/listens:1: failed, trying again in \d+ s: ", said[1])
    assert "connection refused" in said[1]
    assert process.wait(30) == 130


@pytest.mark.parametrize("form", ["pretty", "json", "jsonl"])
def test_output_that_cannot_be_written_is_one_message_and_status_3(eyas: Eyas, form: str) -> None:
    flow = eyas.flow("full", shell("s", "echo hi"))
    words = [sys.executable, "-m", "runner", "run", str(flow), "--output", form]

    ended = subprocess.run(
        ["sh", "-c", 'exec "$@" >/dev/full', "sh", *words],
        cwd=eyas.folder,
        env=eyas.environ,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 3
    assert "eyas: the output cannot be written: No space left on device" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "Exception ignored" not in ended.stderr


def test_secrets_are_masked_in_the_log(eyas: Eyas) -> None:
    log = core("l", "log.Log", message="it is {{ secret('TOKEN') }}")
    ended = eyas("run", eyas.flow("secret", log), SECRET_TOKEN="aHVudGVyMg==")

    assert ended.returncode == 0, ended.stderr
    assert "hunter2" not in ended.stdout + ended.stderr
    assert "it is ****" in ended.stdout


def test_a_script_without_an_engine_runs_as_a_process_and_one_line_says_so(eyas: Eyas) -> None:
    task = "  - {id: s, type: io.kestra.plugin.scripts.shell.Commands, commands: [echo here]}\n"
    nowhere = f"unix://{eyas.folder}/no.sock"

    ended = eyas("run", eyas.flow("auto", task), DOCKER_HOST=nowhere)

    assert ended.returncode == 0, ended.stderr
    assert "INFO  s | here" in ended.stdout
    assert ended.stderr.count("\n") == 1
    assert "No Docker engine answers" in ended.stderr


def test_without_an_engine_the_docker_runner_is_an_environment_error(eyas: Eyas) -> None:
    task = "  - {id: s, type: io.kestra.plugin.scripts.shell.Commands, commands: [echo here]}\n"
    nowhere = f"unix://{eyas.folder}/no.sock"

    ended = eyas("run", eyas.flow("none", task), "--task-runner", "docker", DOCKER_HOST=nowhere)

    assert ended.returncode == 3
    assert "no.sock" in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("EYAS_TASK_RUNNER", "podman", "one of auto, docker, process is needed"),
        ("EYAS_DOCKER_VOLUME_ENABLED", "maybe", "true or false is needed"),
    ],
)
def test_a_wrong_setting_names_its_variable(eyas: Eyas, name: str, value: str, says: str) -> None:
    ended = eyas("run", eyas.flow("setting", LOG), **{name: value})

    assert ended.returncode == 2
    assert name in ended.stderr and says in ended.stderr


def test_settings_come_from_the_file_in_the_current_folder(eyas: Eyas) -> None:
    (eyas.folder / "eyas.toml").write_text('task_runner = "process"\nstate_dir = "here"\n')
    task = "  - {id: s, type: io.kestra.plugin.scripts.shell.Commands, commands: [echo here]}\n"
    del eyas.environ["EYAS_STATE_DIR"]

    ended = eyas("run", eyas.flow("file", task), DOCKER_HOST="unix:///nowhere")

    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""


def test_an_unknown_verb_is_answered_with_a_near_one(eyas: Eyas) -> None:
    ended = eyas("rnu")

    assert ended.returncode == 2
    assert "Did you mean 'run'?" in ended.stderr


def test_a_state_folder_that_cannot_be_made_is_told_before_anything_runs(eyas: Eyas) -> None:
    ended = eyas("run", eyas.flow("nowhere", LOG), "--state-dir", "/proc/nowhere")

    assert ended.returncode == 3
    assert ended.stderr.startswith("eyas: /proc/nowhere: ")
    assert "hello" not in ended.stdout
