"""Files into and out of a script's folder (script-tasks 2.4 to 2.6)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from script_bench import PROCESS, Bench

from runner.errors import NotFound, RunnerError, TaskFailed
from runner.model.execution import Level, Outputs
from runner.storage.files import Storage
from runner.tasks.script import run_commands, run_script
from runner.tasks.script_files import write_file
from runner.tasks.working_directory_files import collect_outputs, stage_inputs


def bench(folder: Path, *commands: str, **properties: Any) -> Bench:
    return Bench(folder, properties={"taskRunner": PROCESS, "commands": commands, **properties})


async def run(ctx: Bench) -> Outputs:
    async with ctx.leaving:
        result = await (run_script if ctx.type.endswith("Script") else run_commands)(ctx)
    assert result is not None and result.outputs is not None
    return result.outputs


def stored(ctx: Bench, content: bytes, name: str = "x.csv") -> str:
    return ctx.storage.put(ctx.execution, ctx.task_run, name, content)


async def test_names_and_texts_are_rendered_and_uris_are_fetched(tmp_path: Path) -> None:
    ctx = bench(tmp_path)
    ctx.variables["v"] = "inline"
    uri = stored(ctx, b"{{ data }} \xff\n")
    ctx.storage.namespace_files("a.b").write("lib/util.py", b"{{ lib }}\n")
    ctx.properties["inputFiles"] = {
        "{{ v }}.txt": "text of {{ v }} in {{ workingDir | length > 20 }}\n",
        "/sub/./deep/f.csv": uri,
        "lib.py": "nsfile:///lib/util.py",
        "own.py": "nsfile://a.b/lib/util.py",
        "empty.txt": "",
        "none.txt": None,
    }
    ctx.properties["commands"] = [
        "cat inline.txt lib.py own.py empty.txt",
        "wc -c < sub/deep/f.csv",
        "ls none.txt || true",
    ]

    await run(ctx)

    lines = ["text of inline in true", "{{ lib }}", "{{ lib }}", "13"]
    assert [line.strip() for line in ctx.lines()] == lines


async def test_input_files_may_be_the_json_text_of_a_map(tmp_path: Path) -> None:
    ctx = bench(tmp_path, "cat a b; echo", "wc -c < c", inputFiles="{{ files }}")
    ctx.variables["files"] = '{"a": "1", "b": 2.5, "c": null}'

    await run(ctx)

    assert ctx.lines() == ["12.5", "0"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (["a"], "Invalid inputFiles: a map of names and contents is needed, not a list"),
        ({"n": 5}, "the content of 'n' is the int 5, and Kestra takes text only"),
        ({"m": {"a": 1}}, "the content of 'm' is a map"),
        ("text", "not the JSON text of a map"),
        ("[1]", "a list, not the JSON text of a map"),
        ('{"a": []}', "the content of 'a' is not a text"),
        ({"../x": "1"}, "Invalid file name '../x'"),
        ({"sub/../x": "1"}, "Invalid file name 'sub/../x'"),
        ({"": "1"}, "Invalid file name ''"),
        ({"a": "x", "a/b": "y"}, "Cannot write 'a/b': File exists"),
        ({"a": "kestra:///x\n"}, "Illegal character in path at index 11: kestra:///x\n"),
        ({"a": "kestra:///a b"}, "Illegal character in path at index 11: kestra:///a b\n"),
        ({"a": "file:///etc/hostname"}, "The path /etc/hostname is not authorized. Only files"),
    ],
)
async def test_what_cannot_be_an_input_file_fails_the_task(
    tmp_path: Path, value: Any, message: str
) -> None:
    with pytest.raises(TaskFailed) as caught:
        await run(bench(tmp_path, "true", inputFiles=value))

    assert message in str(caught.value)
    assert not (tmp_path / "x").exists()


async def test_a_missing_source_fails_the_task(tmp_path: Path) -> None:
    for value in ("kestra:///a/b/f/executions/no/x", "nsfile:///no"):
        with pytest.raises(NotFound):
            await run(bench(tmp_path, "true", inputFiles={"a": value}))


async def test_a_link_of_an_earlier_script_is_no_way_out(tmp_path: Path) -> None:
    shared, outside = tmp_path / "shared", tmp_path / "outside"
    shared.mkdir()
    outside.mkdir()
    (outside / "f").write_text("kept")
    (shared / "out").symlink_to(outside)
    (shared / "f").symlink_to(outside / "f")
    ctx = bench(tmp_path, "cat f", inputFiles={"f": "new"})
    ctx.shared_dir = shared

    await run(ctx)
    ctx.properties["inputFiles"] = {"out/g": "x"}
    with pytest.raises(TaskFailed, match="is a link out of the folder"):
        await run(ctx)

    assert (ctx.lines(), (outside / "f").read_text()) == (["new"], "kept")
    assert sorted(path.name for path in outside.iterdir()) == ["f"]


async def test_a_file_of_the_folder_can_be_given_as_a_file_uri(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "a").write_text("of the folder")
    ctx = bench(tmp_path, "cat b", inputFiles={"b": "file://{{ workingDir }}/a"})
    ctx.shared_dir = shared

    await run(ctx)

    assert ctx.lines() == ["of the folder"]


async def test_uris_in_a_script_become_paths_of_copies(tmp_path: Path) -> None:
    ctx = bench(tmp_path)
    uri = stored(ctx, b"twelve bytes", "d.csv")
    ctx.properties["beforeCommands"] = [f"A={uri}; wc -c < $A; echo changed > $A"]
    ctx.properties["commands"] = [f"cat '{uri}' | tr t T; ls {uri} | grep -c .csv"]

    await run(ctx)

    assert [line.strip() for line in ctx.lines()] == ["12", "Twelve byTes1"]


async def test_uris_in_a_script_file_become_paths_too(tmp_path: Path) -> None:
    ctx = Bench(tmp_path, "python.Script", {"taskRunner": PROCESS})
    ctx.properties["script"] = f"print(open('{stored(ctx, b'data')}').read())"

    await run(ctx)

    assert ctx.lines() == ["data"]


async def test_a_uri_without_a_path_fails_the_task(tmp_path: Path) -> None:
    with pytest.raises(TaskFailed, match="Expected authority at index 9: kestra://"):
        await run(bench(tmp_path, "echo kestra:// is the scheme"))


async def test_a_full_disk_is_named(tmp_path: Path) -> None:
    with pytest.raises(TaskFailed, match=r"disk_full: cannot write 'a', .* bytes are free"):
        write_file(Path("/dev/full"), "text", "a")


async def test_a_storage_without_room_for_an_output_file_is_named_and_keeps_nothing(
    tmp_path: Path, small_disk: Path
) -> None:
    ctx = bench(tmp_path, "head -c 1000000 /dev/zero > big", outputFiles=["big"])
    ctx.storage = Storage(small_disk / "storage")

    with pytest.raises(TaskFailed) as failed:
        await run(ctx)

    first, advice = str(failed.value).splitlines()
    assert first.startswith("disk_full: cannot write 'big' of 1000000 bytes, ")
    assert first.endswith(" bytes are free: No space left on device")
    assert advice == f"Make space on the disk of {small_disk / 'storage'}."
    assert [name for _, names, files in os.walk(small_disk) for name in (*names, *files)] == [
        "storage",
        ".tmp",
    ]


def namespace_bench(folder: Path, *commands: str, **options: Any) -> Bench:
    ctx = bench(folder, *commands, namespaceFiles=options)
    for path in ("q/a.py", "q/b.txt", "q/sub/c.txt"):
        ctx.storage.namespace_files("a.b").write(path, f"{path} {{{{ raw }}}}\n".encode())
    return ctx


async def test_namespace_files_are_chosen_by_pattern_and_not_rendered(tmp_path: Path) -> None:
    ctx = namespace_bench(
        tmp_path,
        "find . -type f | sort; cat q/a.py",
        include=["q/**"],
        exclude=["q/sub/**", "*.py"],
    )

    await run(ctx)

    loaded, *lines = ctx.lines()
    assert loaded.startswith("Loaded 2 namespace files from 'a.b' in 00:00:0")
    assert lines == ["./q/a.py", "./q/b.txt", "q/a.py {{ raw }}"]
    assert ctx.metrics["namespacefiles.count"] == 2
    assert "namespacefiles.duration" in ctx.metrics


async def test_namespace_files_can_be_off_or_below_their_namespace(tmp_path: Path) -> None:
    off = namespace_bench(tmp_path / "1", "find . -type f", enabled="{{ false }}")
    below = namespace_bench(
        tmp_path / "2", "find . -type f", include=["c.txt"], folderPerNamespace=True
    )

    await run(off)
    await run(below)

    assert off.lines() == []
    assert below.lines()[1:] == ["./a.b/q/sub/c.txt"]


async def test_an_input_file_wins_over_a_namespace_file(tmp_path: Path) -> None:
    ctx = namespace_bench(tmp_path, "cat q/b.txt")
    ctx.properties["inputFiles"] = {"q/b.txt": "input"}

    await run(ctx)

    assert ctx.lines()[1:] == ["input"]


@pytest.mark.parametrize(
    ("mode", "expected", "warnings"),
    [("OVERWRITE", "second", 0), ("WARN", "first", 1), ("IGNORE", "first", 0)],
)
async def test_a_later_namespace_meets_a_file_of_an_earlier_one(
    tmp_path: Path, mode: str, expected: str, warnings: int
) -> None:
    ctx = bench(tmp_path, "cat f")
    ctx.properties["namespaceFiles"] = {
        "namespaces": ["a", "{{ flow.namespace }}"],
        "ifExists": mode,
    }
    ctx.storage.namespace_files("a").write("f", b"first")
    ctx.storage.namespace_files("a.b").write("f", b"second")

    await run(ctx)

    assert ctx.lines()[1:] == [expected]
    assert len(ctx.lines(Level.WARN)) == warnings


async def test_a_file_that_must_not_be_there_fails_the_task(tmp_path: Path) -> None:
    ctx = namespace_bench(tmp_path, "true", namespaces=["a.b", "a.b"], ifExists="FAIL")

    with pytest.raises(TaskFailed, match=r"^File /.*/q/a.py already exist$"):
        await run(ctx)

    assert ctx.lines(Level.ERROR)[0] == "Error while loading namespace files"


async def test_only_regular_files_are_collected_and_links_stay(tmp_path: Path) -> None:
    commands = (
        "mkfifo pipe; ln -s /etc/passwd link; ln -s / root; echo x > 'sp ace.é'; mkdir d; : > d/e"
    )
    ctx = bench(tmp_path, commands, outputFiles=["**"])

    files = (await run(ctx))["outputFiles"]

    assert list(files) == ["d/e", "sp ace.é"]
    assert ctx.storage.open(files["sp ace.é"]).read_text() == "x\n"


async def test_a_name_that_no_uri_can_hold_fails_the_task(tmp_path: Path) -> None:
    with pytest.raises(TaskFailed, match=r"Illegal character in path at index 1: x\[1\].txt"):
        await run(bench(tmp_path, "touch 'x[1].txt'", outputFiles=["*.txt"]))


async def test_a_working_directory_is_staged_and_collected(tmp_path: Path) -> None:
    ctx = namespace_bench(tmp_path)
    folder = tmp_path / "wd"
    folder.mkdir()

    await stage_inputs(ctx, folder, {"n": None, "q/b.txt": "in {{ flow.id }}"}, {"enabled": True})
    files = await collect_outputs(ctx, folder, ["n", "**.txt"])

    assert sorted(files) == ["n", "q/b.txt", "q/sub/c.txt"]
    assert ctx.storage.open(files["q/b.txt"]).read_text() == "in f"
    await ctx.leaving.aclose()
    assert [name for _, _, names in os.walk(folder) for name in names] == ["a.py"]


async def test_namespace_files_of_a_wrong_kind_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RunnerError, match="Invalid namespaceFiles"):
        await run(bench(tmp_path, "true", namespaceFiles=True))
