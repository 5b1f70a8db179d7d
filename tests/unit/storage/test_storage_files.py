"""Files of executions and namespaces, by URI."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from runner.errors import NotFound, RunnerError, TaskFailed
from runner.model.execution import Execution, TaskRun, TriggerCause
from runner.model.state import History, State
from runner.storage.files import Storage

HISTORY = History.begin(State.CREATED, datetime(2026, 1, 1, tzinfo=UTC))


def execution(id_: str = "E1", flow_id: str = "My_Flow.x", **more: object) -> Execution:
    known = {"namespace": "a.b", "flow_revision": 1, "history": HISTORY} | more
    return Execution(id=id_, flow_id=flow_id, **known)  # pyright: ignore[reportArgumentType] # test data


RUN = TaskRun(
    id="R1",
    execution_id="E1",
    namespace="a.b",
    flow_id="My_Flow.x",
    task_id="Say_it",
    history=HISTORY,
)


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(tmp_path / "storage")


def test_the_uri_of_a_file_has_kestras_layout(storage: Storage) -> None:
    uri = storage.put(execution(), RUN, "out.csv", b"x")

    assert uri == "kestra:///a/b/my-flowx/executions/E1/tasks/say-it/R1/out.csv"
    assert storage.open(uri).read_bytes() == b"x"
    assert storage.size(uri) == 1


def test_an_input_file_stands_below_its_inputs_id(storage: Storage) -> None:
    uri = storage.put_input(execution(flow_id="f"), "db.dump", "d.sql", b"x")

    assert uri == "kestra:///a/b/f/executions/E1/inputs/db.dump/d.sql"


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("my file.csv", "my_file.csv"),
        ("../x", ".._x"),
        ("..", "_"),
        ("", "_"),
        ("ü/ö.txt", "___.txt"),
        ("x" * 300 + ".txt", "x" * 100 + "x" * 96 + ".txt"),
    ],
)
def test_a_name_becomes_one_that_a_uri_can_hold(storage: Storage, name: str, kept: str) -> None:
    uri = storage.put(execution(), RUN, name, b"")

    assert uri.rpartition("/")[2] == kept
    assert storage.exists(uri)


def test_a_file_is_copied_or_moved(storage: Storage, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_text("text")

    copied = storage.put(execution(), RUN, "copy", source)
    assert source.exists()
    moved = storage.put(execution(), RUN, "move", source, move=True)

    assert not source.exists()
    assert storage.open(copied).read_text() == storage.open(moved).read_text() == "text"


@pytest.mark.parametrize("move", [False, True])
def test_a_link_is_not_followed_into_the_storage(
    storage: Storage, tmp_path: Path, move: bool
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    link = tmp_path / "link"
    link.symlink_to(secret)

    with pytest.raises(TaskFailed):
        storage.put(execution(), RUN, "x", link, move=move)

    assert storage.execution_files(execution()) == []
    assert secret.read_text() == "secret"


def test_a_pipe_is_refused_and_nobody_waits_for_its_writer(
    storage: Storage, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(TaskFailed, match="not a regular file"):
        storage.put(execution(), RUN, "x", tmp_path / "pipe")


def test_a_missing_source_leaves_no_half_of_a_file(storage: Storage, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        storage.put(execution(), RUN, "x", tmp_path / "nope")

    assert [path for path in storage.root.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    "uri",
    [
        "kestra:///../outside",
        "kestra:///a/../../outside",
        "kestra:///a//b",
        "kestra:///./a",
        "kestra:///%2e%2e/outside",
        "kestra://host/a",
        "kestra:////outside",
        "kestra:///a\0b",
        "file:///etc/passwd",
        "/etc/passwd",
        "",
    ],
)
def test_no_uri_leads_out_of_the_storage(storage: Storage, tmp_path: Path, uri: str) -> None:
    (tmp_path / "outside").write_text("x")
    storage.root.mkdir()

    with pytest.raises(NotFound):
        storage.open(uri)
    assert not storage.exists(uri)
    assert not storage.delete(uri)


def test_a_deleted_file_is_gone(storage: Storage) -> None:
    uri = storage.put(execution(), RUN, "x", b"x")

    assert storage.delete(uri)
    assert not storage.delete(uri)
    with pytest.raises(NotFound, match="File not found"):
        storage.open(uri)


def test_an_executions_files_are_listed_and_deleted_together(storage: Storage) -> None:
    first = storage.put(execution(), RUN, "b", b"")
    second = storage.put_input(execution(), "i", "a", b"")
    other = storage.put(execution("E2"), RUN, "c", b"")

    assert storage.execution_files(execution()) == sorted([first, second])
    deleted = storage.delete_execution(execution())
    # With their folders, as the local storage of Kestra lists them.
    assert [uri for uri in deleted if uri in (first, second)] == sorted([first, second])
    assert len(deleted) == 8
    assert storage.execution_files(execution()) == []
    assert storage.exists(other)


def test_an_expression_reads_files_of_its_execution_and_those_it_came_from(
    storage: Storage,
) -> None:
    cause = TriggerCause(
        id="t",
        type="io.kestra.plugin.core.trigger.Flow",
        variables={"namespace": "z", "flowId": "first", "executionId": "E0"},
    )
    reader = execution("E1", trigger=cause, original_id="E9")
    causing = execution("E0", "first", namespace="z")
    own = storage.put(reader, RUN, "x", b"")
    handed = storage.put(causing, RUN, "x", b"")
    repeated = storage.put(execution("E9"), RUN, "x", b"")
    foreign = storage.put(execution("E2"), RUN, "x", b"")
    foreign_namespace = storage.put(execution("E3", namespace="a"), RUN, "x", b"")

    for uri in (own, handed, repeated):
        assert storage.open_for(reader, uri).is_file()
        assert storage.open_for_task(reader, uri).is_file()
    for uri in (foreign, foreign_namespace):
        with pytest.raises(NotFound, match="as it is not an execution file"):
            storage.open_for(reader, uri)
    assert storage.open_for_task(reader, foreign).is_file()
    with pytest.raises(NotFound, match="as it is not an execution file"):
        storage.open_for_task(reader, foreign_namespace)
    with pytest.raises(NotFound):
        storage.delete_for_task(reader, foreign_namespace)
    assert storage.exists(foreign_namespace)


def test_namespace_files_are_found_by_path_and_by_uri(storage: Storage) -> None:
    files = storage.namespace_files("a.b")
    files.write("d/one.txt", b"1")
    files.write("/two.txt", b"22")

    assert files.list() == ["d/one.txt", "two.txt"]
    assert files.folders() == ["d"]
    assert files.path("/d/one.txt").read_bytes() == b"1"
    assert files.uri("d/one.txt") == "kestra:///a/b/_files/d/one.txt"
    assert storage.open_for(execution(), "nsfile:///two.txt").read_bytes() == b"22"
    assert storage.open_for(execution(namespace="x"), "nsfile://a.b/two.txt").is_file()


def test_a_missing_namespace_file_is_named_as_kestra_names_it(storage: Storage) -> None:
    with pytest.raises(NotFound) as caught:
        storage.namespace_files("conf.test").path("d168/nope.json")

    text = "File '/d168/nope.json' was not found in namespace 'conf.test'."
    assert str(caught.value) == text


@pytest.mark.parametrize("path", ["../x", "a/../../x", "a//b", "", "/", "a\0"])
def test_no_path_leads_out_of_the_namespaces_files(storage: Storage, path: str) -> None:
    files = storage.namespace_files("a")

    with pytest.raises(RunnerError):
        files.write(path, b"x")
    with pytest.raises(RunnerError):
        files.uri(path)
    assert not files.delete(path)
    assert not files.exists(path)


def test_namespace_folders_are_moved_and_deleted_whole(storage: Storage) -> None:
    files = storage.namespace_files("a")
    files.write("d/e/x", b"")
    files.make_folder("empty")
    files.move("d", "f")

    assert files.list() == ["f/e/x"]
    assert files.delete("f/e/x")
    files.delete_empty_parents("f/e/x")
    assert files.folders() == ["empty"]
    assert files.delete("empty")


def test_unfinished_files_of_a_crash_are_swept_after_a_day(storage: Storage) -> None:
    storage.put(execution(), RUN, "x", b"")
    left = storage.root / ".tmp" / "left"
    left.write_bytes(b"half")
    written = left.stat().st_mtime

    storage.sweep(written + 3600)
    assert left.exists()
    storage.sweep(written + 25 * 3600)
    assert not left.exists()


def test_the_cache_of_a_working_directory_has_a_place_per_loop_value(storage: Storage) -> None:
    plain = storage.task_cache("a.b", "f", "t")

    assert plain.relative_to(storage.root).as_posix() == "a/b/f/t/cache/cache.zip"
    assert storage.task_cache("a.b", "f", "t", "x/y") == plain.with_name("x_y") / "cache.zip"
