"""Tasks on stored files and on namespace files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from core_flows import Ended, Flows

from runner.model.state import State
from runner.tasks.splitting import Cut, backwards, split_file


@pytest.fixture
def flows(tmp_path: Path) -> Flows:
    return Flows(tmp_path)


def outputs(ended: Ended, task_id: str) -> Mapping[str, Any]:
    """The outputs of a task, which has some."""
    found = ended.outputs[task_id]
    assert found is not None, ended.messages()
    return found


WRITE = """
  - {id: w, type: core.storage.Write, content: "CONTENT", extension: .csv}
"""


async def test_a_written_file_has_its_content_size_and_extension(flows: Flows) -> None:
    ended = await flows.run(
        """
  - {id: w, type: core.storage.Write, content: "héé\\n"}
  - {id: e, type: core.storage.Write, content: "", extension: .json}
  - {id: s, type: core.storage.Size, uri: "{{ outputs.w.uri }}"}
"""
    )

    uri = outputs(ended, "w")["uri"]
    assert flows.text(uri) == "héé\n"
    assert uri.endswith(".tmp")
    assert outputs(ended, "e")["uri"].endswith(".json")
    assert outputs(ended, "s") == {"size": 6}


async def test_a_file_is_deleted_once(flows: Flows) -> None:
    ended = await flows.run(
        WRITE
        + """
  - {id: d, type: core.storage.Delete, uri: "{{ outputs.w.uri }}"}
  - {id: again, type: core.storage.Delete, uri: "{{ outputs.w.uri }}"}
  - {id: hard, type: core.storage.Delete, uri: "{{ outputs.w.uri }}", errorOnMissing: true}
"""
    )

    uri = outputs(ended, "w")["uri"]
    assert outputs(ended, "d") == {"uri": uri, "deleted": True}
    assert outputs(ended, "again") == {"uri": uri, "deleted": False}
    assert ended.error("hard") == f"Unable to find file '{uri}'"


async def test_files_are_joined_with_the_separator_after_each(flows: Flows) -> None:
    ended = await flows.run(
        """
  - {id: a, type: core.storage.Write, content: "A\\n"}
  - {id: b, type: core.storage.Write, content: "B"}
  - {id: plain, type: core.storage.Concat, files: ["{{ outputs.a.uri }}", "{{ outputs.b.uri }}"]}
  - id: sep
    type: core.storage.Concat
    files: "{{ [outputs.a.uri, outputs.b.uri] }}"
    separator: ";"
    extension: .txt
"""
    )

    plain, sep = outputs(ended, "plain")["uri"], outputs(ended, "sep")["uri"]
    assert (flows.text(plain), plain[-4:]) == ("A\nB", ".tmp")
    assert (flows.text(sep), sep[-4:]) == ("A\n;B;", ".txt")


@pytest.mark.parametrize(
    ("how", "parts"),
    [
        ("rows: 2", ["1\n2\n", "3\n4\n", "5\n"]),
        ("partitions: 2", ["1\n3\n5\n", "2\n4\n"]),
        ("partitions: 8", ["1\n", "2\n", "3\n", "4\n", "5\n"]),
        ("bytes: '4'", ["1\n2\n", "3\n4\n", "5\n"]),
        ("bytes: '3', rows: 1", ["1\n2\n", "3\n4\n", "5\n"]),
        ("rows: 3, separator: ','", ["1,2,3,", "4,5,"]),
        ("regexPattern: '([135])'", ["1\n", "3\n", "5\n"]),
        ("regexPattern: '[1-3]|([45])'", ["1\n2\n3\n", "4\n", "5\n"]),
        ("regexPattern: '[135]'", []),
    ],
)
async def test_a_file_is_cut_by_its_rows(flows: Flows, how: str, parts: list[str]) -> None:
    ended = await flows.run(
        WRITE.replace("CONTENT", "1\\n2\\n3\\n4\\n5")
        + f'  - {{id: s, type: core.storage.Split, from: "{{{{ outputs.w.uri }}}}", {how}}}\n'
    )

    uris = outputs(ended, "s")["uris"]
    assert [flows.text(uri) for uri in uris] == parts
    assert all(uri.endswith(".csv") for uri in uris)


@pytest.mark.parametrize(
    ("how", "error"),
    [
        ("", "Invalid configuration with no size, count, rows, nor regexPattern"),
        (", bytes: 10B", "Invalid size with value '10B'"),
        (", partitions: 0", "Invalid `partitions` 0"),
        (", regexPattern: '(', ", "Invalid `regexPattern`: Invalid regular expression"),
    ],
)
async def test_a_cut_that_makes_no_sense_fails(flows: Flows, how: str, error: str) -> None:
    ended = await flows.run(
        WRITE + f'  - {{id: s, type: core.storage.Split, from: "{{{{ outputs.w.uri }}}}"{how}}}\n'
    )

    assert ended.state is State.FAILED
    assert ended.error("s").startswith(error)


def test_more_groups_than_files_that_may_be_open_are_cut_all_the_same(tmp_path: Path) -> None:
    source, folder = tmp_path / "source.txt", tmp_path / "parts"
    source.write_text("".join(f"{number % 400}\n" for number in range(800)))
    folder.mkdir()

    parts = split_file(source, folder, Cut(pattern=r"(\d+)"))

    assert [part.read_text() for part in parts] == [f"{n}\n{n}\n" for n in range(400)]


async def test_rows_are_turned_round(flows: Flows) -> None:
    ended = await flows.run(
        WRITE.replace("CONTENT", "1\\n2\\n3")
        + '  - {id: r, type: core.storage.Reverse, from: "{{ outputs.w.uri }}"}\n'
    )

    assert flows.text(outputs(ended, "r")["uri"]) == "3\n2\n1\n"


@pytest.mark.parametrize("charset", ["UTF-8", "UTF-16LE"])
async def test_lines_are_turned_round_whatever_ends_them_and_follows_them(
    flows: Flows, charset: str
) -> None:
    content = "a\r\nb\rc\n\nd".encode(charset)
    files = flows.storage.namespace_files("a.b")
    files.write("lines", content)

    ended = await flows.run(
        """
  - {id: d, type: core.namespace.DownloadFiles, namespace: a.b, files: lines}
  - id: r
    type: core.storage.Reverse
    from: "{{ outputs.d.files['/lines'] }}"
    separator: "|"
    charset: """
        + charset
        + "\n"
    )

    reversed_ = flows.storage.open(outputs(ended, "r")["uri"]).read_bytes()
    assert reversed_.decode(charset) == "d||c|b|a|"


ITEMS = WRITE.replace(
    "CONTENT",
    r"""{\"k\": 1, \"v\": \"a\"}\n{\"k\": 2, \"v\": \"b\"}\n{\"k\": 1, \"v\": \"c\"}\n""",
)


async def test_the_last_item_of_each_key_is_kept(flows: Flows) -> None:
    ended = await flows.run(
        ITEMS
        + """
  - id: d
    type: core.storage.DeduplicateItems
    from: "{{ outputs.w.uri }}"
    expr: "{{ k }}"
"""
    )

    found = dict(outputs(ended, "d"))
    assert flows.text(found.pop("uri")) == '{"k": 2, "v": "b"}\n{"k": 1, "v": "c"}\n'
    assert found == {"numKeys": 2, "processedItemsTotal": 3, "droppedItemsTotal": 1}


@pytest.mark.parametrize(
    ("condition", "more", "kept"),
    [
        (" {{ k > 1 }} ", "", ["b"]),
        ("{{ v == 'a' }}", "filterType: EXCLUDE", ["b", "c"]),
        ("{{ nope }}", "errorOrNullBehavior: INCLUDE", ["a", "b", "c"]),
        ("{{ nope }}", "errorOrNullBehavior: EXCLUDE", []),
        ("{{ null }}", "errorOrNullBehavior: INCLUDE", ["a", "b", "c"]),
    ],
)
async def test_items_are_kept_by_a_condition(
    flows: Flows, condition: str, more: str, kept: list[str]
) -> None:
    ended = await flows.run(
        ITEMS
        + f"""
  - id: f
    type: core.storage.FilterItems
    from: "{{{{ outputs.w.uri }}}}"
    filterCondition: "{condition}"
    {more}
"""
    )

    found = outputs(ended, "f")
    text = flows.text(found["uri"])
    assert [line[-3] for line in text.splitlines()] == kept
    assert (found["processedItemsTotal"], found["droppedItemsTotal"]) == (3, 3 - len(kept))


async def test_a_condition_that_cannot_be_rendered_fails_the_task(flows: Flows) -> None:
    ended = await flows.run(
        ITEMS
        + """
  - id: f
    type: core.storage.FilterItems
    from: "{{ outputs.w.uri }}"
    filterCondition: "{{ nope }}"
"""
    )

    assert ended.state is State.FAILED


async def test_items_may_be_ion(flows: Flows) -> None:
    ended = await flows.run(
        WRITE.replace("CONTENT", "{k:1}\\n{k:2}")
        + """
  - id: f
    type: core.storage.FilterItems
    from: "{{ outputs.w.uri }}"
    filterCondition: "{{ k == 2 }}"
"""
    )

    assert flows.text(outputs(ended, "f")["uri"]) == "{k:2}\n"


async def test_the_files_of_an_execution_are_purged(flows: Flows) -> None:
    ended = await flows.run(WRITE + "  - {id: p, type: core.storage.PurgeCurrentExecutionFiles}\n")

    # With the folders around it: the execution's, of all its tasks, the task's, the run's.
    folder, uris = str(outputs(ended, "w")["uri"]), list[str]()
    for _ in range(5):
        uris.append(folder)
        folder = folder.rpartition("/")[0]
    assert outputs(ended, "p") == {"uris": uris[::-1]}
    assert not flows.storage.exists(outputs(ended, "w")["uri"])


async def test_files_of_another_namespace_are_not_read(flows: Flows) -> None:
    place = flows.storage.root / "other" / "f" / "executions" / "E" / "x.txt"
    place.parent.mkdir(parents=True)
    place.write_text("foreign")

    ended = await flows.run(
        """
  - {id: s, type: core.storage.Size, uri: "{{ vars.u }}", allowFailure: true}
  - {id: d, type: core.storage.Delete, uri: "{{ vars.u }}", allowFailure: true}
""",
        'variables: {u: "kestra:///other/f/executions/E/x.txt"}',
    )

    assert "not an execution file" in ended.error("s")
    assert "not an execution file" in ended.error("d")
    assert place.exists()


async def test_namespace_files_go_up_and_down_and_away(flows: Flows) -> None:
    flows.storage.namespace_files("a.b").write("other.txt", b"")
    ended = await flows.run(
        WRITE.replace("CONTENT", "uploaded")
        + """
  - id: up
    type: core.namespace.UploadFiles
    namespace: "{{ flow.namespace }}"
    filesMap: {"d/one.txt": "{{ outputs.w.uri }}"}
  - {id: down, type: core.namespace.DownloadFiles, namespace: a.b, files: ["d/**"]}
  - id: into
    type: core.namespace.DownloadFiles
    namespace: a.b
    files: other.txt
    destination: /x
  - id: del
    type: core.namespace.DeleteFiles
    namespace: a.b
    files: ["d/**"]
    deleteParentFolder: true
"""
    )

    assert ended.state is State.SUCCESS
    files = outputs(ended, "down")["files"]
    assert list(files) == ["/d/one.txt"]
    assert flows.text(files["/d/one.txt"]) == "uploaded"
    assert list(outputs(ended, "into")["files"]) == ["/other.txt"]
    assert ended.measured("down") == {"downloaded": 1}
    assert ended.measured("del") == {"deleted": 1}
    left = flows.storage.namespace_files("a.b")
    assert (left.list(), left.folders()) == (["other.txt"], [])


@pytest.mark.parametrize(
    ("conflict", "content"), [("SKIP", "old"), ("ERROR", "old"), ("OVERWRITE", "new")]
)
async def test_a_namespace_file_that_exists_is_kept_or_replaced(
    flows: Flows, conflict: str, content: str
) -> None:
    files = flows.storage.namespace_files("a.b")
    files.write("d/x.txt", b"old")  # the name follows the destination as it stands

    ended = await flows.run(
        WRITE.replace("CONTENT", "new")
        + f"""
  - id: up
    type: core.namespace.UploadFiles
    namespace: a.b
    conflict: {conflict}
    destination: /d/
    filesMap: {{"x.txt": "{{{{ outputs.w.uri }}}}"}}
"""
    )

    assert files.path("d/x.txt").read_text() == content
    if conflict == "ERROR":
        assert ended.error("up") == (
            "File '/d/x.txt' already exists in namespace 'a.b' and conflict is set to ERROR"
        )


async def test_files_of_a_working_directory_are_uploaded_and_local_files_come_and_go(
    flows: Flows,
) -> None:
    ended = await flows.run(
        """
  - id: wd
    type: core.flow.WorkingDirectory
    inputFiles: {"a.txt": "one", "d/b.txt": "two"}
    tasks:
      - {id: up, type: core.namespace.UploadFiles, namespace: a.b, files: ["**.txt"]}
      - id: local
        type: core.storage.LocalFiles
        inputs: {c.csv: "three"}
        outputs: ["*.csv"]
"""
    )

    files = flows.storage.namespace_files("a.b")
    assert files.list() == ["a.txt", "d/b.txt"]
    assert files.path("d/b.txt").read_text() == "two"
    uris = outputs(ended, "local")["uris"]
    assert flows.text(uris["c.csv"]) == "three"


async def test_a_task_by_itself_has_no_files_to_upload(flows: Flows) -> None:
    ended = await flows.run(
        """
  - {id: up, type: core.namespace.UploadFiles, namespace: a.b, files: ["*"]}
  - id: gone
    type: core.namespace.UploadFiles
    namespace: a.b
    filesMap: {"x.txt": "kestra:///a/b/f/nothing.txt"}
  - {id: none, type: core.namespace.UploadFiles, namespace: a.b}
"""
    )

    assert flows.storage.namespace_files("a.b").list() == []
    assert ended.error("none") == "files or filesMap is required"


@pytest.mark.parametrize("text", ["", "\n", "a", "a\n", "\n\na\nbé", "a\n\n", "ab\ncd\n" * 4])
def test_rows_are_read_backwards_whatever_a_block_ends_with(text: str, tmp_path: Path) -> None:
    file = tmp_path / "rows"
    file.write_text(text)
    rows = text.encode().split(b"\n")

    read = list(backwards(file, b"\n", block_bytes=3))

    assert read == rows[::-1][0 if rows[-1] else 1 :]


async def test_a_name_in_a_files_map_follows_the_destination_as_it_stands(flows: Flows) -> None:
    await flows.run(
        WRITE
        + """
  - id: up
    type: core.namespace.UploadFiles
    namespace: a.b
    destination: /d
    filesMap: {"x.txt": "{{ outputs.w.uri }}", "/e/y.txt": "{{ outputs.w.uri }}"}
"""
    )

    assert flows.storage.namespace_files("a.b").list() == ["d/e/y.txt", "dx.txt"]


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ("plain text", "Illegal character in path at index 5: plain text"),
        ("[1]", "filesMap must be a Map<String, String>"),
    ],
)
async def test_what_is_no_uri_fails_an_upload(flows: Flows, value: str, error: str) -> None:
    ended = await flows.run(
        f"""
  - id: up
    type: core.namespace.UploadFiles
    namespace: a.b
    filesMap: {{"x.txt": {value}}}
"""
    )

    assert ended.error("up") == error
