"""A folder of flows, with everything people and editors do to one."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path

import anyio
import pytest
from structlog.testing import capture_logs

from runner.errors import NotFound
from runner.loading.folder import Folder
from runner.loading.repository import Repository
from runner.settings import Settings
from runner.store.flow_texts import FlowTexts
from runner.store.sqlite import SqliteStore

FLOW = """\
id: {id}
namespace: t
tasks: [{{id: say, type: io.kestra.plugin.core.log.Log, message: "{text}"}}]
"""


def flow(name: str = "one", text: str = "hello") -> str:
    return FLOW.format(id=name, text=text)


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Place:
    """A folder, what is in service from it, and a clock for its grace."""

    def __init__(self, root: Path, texts: FlowTexts) -> None:
        self.root = root
        self.clock = Clock()
        self.flows = Repository(texts, Settings(state_dir=root.parent))
        self.folder = Folder(root, self.flows, grace=timedelta(seconds=60), clock=self.clock)

    def put(self, name: str, text: str | bytes) -> Path:
        """Write a file long ago, so that it is no fresh change."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        os.utime(path, (0, 0))
        return path

    async def scan(self) -> list[str]:
        """Read the folder; ids of the flows in service then, with their revisions."""
        await self.folder.scan()
        return [f"{each.id}@{each.revision}" for each in self.flows.all()]

    def problems(self) -> dict[str, list[str]]:
        """What is wrong, by file."""
        return {
            file.path: [each.message for each in file.problems]
            for file in self.flows.files()
            if file.problems
        }


@pytest.fixture
async def place(tmp_path: Path) -> AsyncGenerator[Place]:
    """An empty folder."""
    root = tmp_path / "flows"
    root.mkdir()
    async with await SqliteStore.open(tmp_path / "state") as store:
        yield Place(root, FlowTexts(store.state))


async def test_files_of_both_endings_are_found_at_any_depth_and_others_are_not(
    place: Place,
) -> None:
    place.put("one.yml", flow("one"))
    place.put("a/b/two.yaml", flow("two"))
    for name in (".three.yml", ".git/four.yml", "five.yml~", "six.yml.swp", "seven.YML", "#8.yml#"):
        place.put(name, flow("unwanted"))

    assert await place.scan() == ["one@1", "two@1"]
    assert place.problems() == {}


async def test_an_edit_is_a_new_revision_and_the_same_text_is_not(place: Place) -> None:
    place.put("one.yml", flow())
    await place.scan()
    os.utime(place.root / "one.yml", (1, 1))
    assert await place.scan() == ["one@1"]

    place.put("one.yml", flow(text="new"))

    assert await place.scan() == ["one@2"]
    assert place.flows.find("t", "one", 1).source == flow()


async def test_a_broken_edit_is_reported_and_the_last_good_flow_stays(place: Place) -> None:
    place.put("one.yml", flow())
    await place.scan()

    place.put("one.yml", flow().replace("message", "mesage"))
    assert await place.scan() == ["one@1"]
    assert list(place.problems()) == ["one.yml"]
    (file,) = place.flows.files()
    assert (file.problems[0].file, file.problems[0].line) == ("one.yml", 3)

    place.put("one.yml", flow(text="mended"))
    assert await place.scan() == ["one@2"]
    assert place.problems() == {}


async def test_a_file_that_never_was_a_flow_is_shown_by_what_it_says_it_is(place: Place) -> None:
    place.put("bad.yml", "id: bad\nnamespace: t\ntasks: []\n")

    assert await place.scan() == []
    assert [file.name for file in place.flows.files()] == [("t", "bad")]
    with pytest.raises(NotFound):
        place.flows.find("t", "bad")


async def test_a_deleted_file_takes_its_flow_out_of_service_but_not_its_texts(
    place: Place,
) -> None:
    place.put("one.yml", flow())
    place.put("two.yml", flow("two"))
    await place.scan()

    (place.root / "one.yml").unlink()

    assert await place.scan() == ["two@1"]
    assert place.flows.find("t", "one", 1).source == flow()
    place.put("back.yml", flow(text="again"))
    assert await place.scan() == ["one@2", "two@1"]


async def test_renaming_a_file_keeps_the_revision(place: Place) -> None:
    place.put("one.yml", flow())
    await place.scan()

    (place.root / "one.yml").rename(place.root / "other.yml")

    assert await place.scan() == ["one@1"]
    assert place.flows.path("t", "one") == "other.yml"


async def test_another_id_in_the_same_file_is_another_flow(place: Place) -> None:
    place.put("one.yml", flow("one"))
    await place.scan()

    place.put("one.yml", flow("two"))

    assert await place.scan() == ["two@1"]


async def test_of_two_files_with_one_flow_the_first_serves_until_it_goes(place: Place) -> None:
    place.put("a.yml", flow(text="first"))
    place.put("b.yml", flow(text="second"))

    assert await place.scan() == ["one@1"]
    assert place.flows.find("t", "one").source == flow(text="first")
    assert place.problems() == {"b.yml": ["Flow 't.one' is defined in a.yml already"]}

    (place.root / "a.yml").unlink()
    assert await place.scan() == ["one@2"]
    assert place.problems() == {}


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"id: \xff\n", "UTF-8"), ("id: ü\n".encode("utf-16"), ""), (b"id: a\x00b\n", "")],
)
async def test_what_is_no_text_is_a_problem_of_that_file_only(
    place: Place, content: bytes, words: str
) -> None:
    place.put("bad.yml", content)
    place.put("one.yml", flow())

    assert await place.scan() == ["one@1"]
    assert words in place.problems()["bad.yml"][0]


async def test_a_byte_order_mark_and_windows_line_ends_are_fine(place: Place) -> None:
    place.put("one.yml", b"\xef\xbb\xbf" + flow().replace("\n", "\r\n").encode())

    assert await place.scan() == ["one@1"]


async def test_pipes_sockets_and_folders_with_such_names_do_not_hang_it(place: Place) -> None:
    os.mkfifo(place.root / "pipe.yml")
    (place.root / "folder.yml").mkdir()
    place.put("folder.yml/in.yml", flow("inside"))
    place.put("one.yml", flow())

    with anyio.fail_after(5):
        assert await place.scan() == ["inside@1", "one@1"]
    assert set(place.problems()) == {"pipe.yml", "folder.yml"}


async def test_links_within_the_folder_are_followed_and_those_out_of_it_are_not(
    place: Place, tmp_path: Path
) -> None:
    (tmp_path / "outside.yml").write_text(flow("outside"))
    place.put(".data/v1/linked.yml", flow("linked"))
    place.put("one.yml", flow())
    (place.root / "linked.yml").symlink_to(".data/v1/linked.yml")
    (place.root / "again.yml").symlink_to("one.yml")
    (place.root / "out.yml").symlink_to(tmp_path / "outside.yml")
    (place.root / "loop").symlink_to(".")
    (place.root / "self.yml").symlink_to("self.yml")

    assert await place.scan() == ["linked@1", "one@1"]
    assert place.problems() == {}


async def test_flows_stay_in_service_for_a_while_when_the_folder_vanishes(place: Place) -> None:
    place.put("one.yml", flow())
    await place.scan()
    shutil.rmtree(place.root)

    assert await place.scan() == ["one@1"]
    assert place.folder.problem is not None
    place.clock.now = 59
    assert await place.scan() == ["one@1"]
    place.clock.now = 61
    assert await place.scan() == []

    place.put("one.yml", flow())
    assert await place.scan() == ["one@1"]
    assert place.folder.problem is None


async def test_an_empty_folder_in_its_place_deletes_nothing_at_once(place: Place) -> None:
    place.put("one.yml", flow())
    await place.scan()
    place.root.rename(place.root.with_name("away"))
    place.root.mkdir()

    assert await place.scan() == ["one@1"]
    place.clock.now = 61
    assert await place.scan() == []
    assert await place.scan() == []
    assert place.folder.problem is None


async def test_deleting_every_file_of_the_same_folder_is_meant(place: Place) -> None:
    place.put("one.yml", flow())
    await place.scan()

    (place.root / "one.yml").unlink()

    assert await place.scan() == []


async def test_a_file_that_is_being_written_is_not_reported_yet(place: Place) -> None:
    await place.scan()
    (place.root / "one.yml").write_text("id: one\nname")

    await place.scan()

    assert place.problems() == {}
    os.utime(place.root / "one.yml", (0, 0))  # it has been quiet for long
    await place.scan()
    assert list(place.problems()) == ["one.yml"]


async def test_what_the_api_writes_is_loaded_once_and_leaves_nothing_else(place: Place) -> None:
    await place.scan()

    await place.folder.write("sub/one.yml", flow())

    assert [each.revision for each in place.flows.all()] == [1]
    assert await place.scan() == ["one@1"]
    assert [path.name for path in place.root.rglob("*")] == ["sub", "one.yml"]


@pytest.mark.parametrize("path", ["../out.yml", "/tmp/out.yml", "", "a/../../out.yml"])
async def test_the_api_writes_nothing_outside(place: Place, path: str) -> None:
    with pytest.raises(NotFound):
        await place.folder.write(path, flow())


async def test_a_waiter_is_told_when_flows_change_and_not_otherwise(place: Place) -> None:
    await place.scan()
    before = place.flows.changed
    place.put("one.yml", flow())
    await place.scan()
    between = place.flows.changed
    os.utime(place.root / "one.yml", (5, 5))
    await place.scan()

    assert (before.is_set(), between.is_set()) == (True, False)


async def test_changes_are_noticed_and_a_replaced_folder_is_followed(place: Place) -> None:
    async def until(*wanted: str) -> None:
        while [each.id for each in place.flows.all()] != list(wanted):
            await place.flows.changed.wait()

    place.put("one.yml", flow())
    await place.scan()
    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            group.start_soon(place.folder.watch)
            await until("one")
            (place.root / "two.yml").write_text(flow("two"))
            await until("one", "two")
            (place.root / "one.yml").unlink()
            await until("two")
            place.root.rename(place.root.with_name("away"))
            place.root.mkdir()
            (place.root / "three.yml").write_text(flow("three"))
            await until("three")
            (place.root / "four.yml").write_text(flow("four"))
            await until("four", "three")
            group.cancel_scope.cancel()


async def test_the_flows_of_a_start_are_one_line_of_the_log_and_changes_one_each(
    place: Place,
) -> None:
    place.put("one.yaml", flow("one"))
    place.put("two.yaml", flow("two"))
    place.put("bad.yaml", "id: [")
    with capture_logs() as lines:
        await place.scan()
        place.put("two.yaml", flow("two", "changed"))
        await place.scan()

    assert [(line["event"], line.get("count"), line.get("file")) for line in lines] == [
        ("flows.loaded", 2, None),
        ("flow.broken", None, "bad.yaml"),
        ("flow.loaded", None, "two.yaml"),
    ]
