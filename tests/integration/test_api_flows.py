"""Flows over HTTP: stored as files of the folder, by revision, checked."""

from __future__ import annotations

import pytest
from live_daemon import Daemon

FLOW = """\
id: {id}
namespace: t
tasks:
  - {{id: say, type: io.kestra.plugin.core.log.Log, message: "{text}"}}
"""


def flow(name: str = "one", text: str = "hello") -> str:
    return FLOW.format(id=name, text=text)


async def test_a_flow_becomes_a_file_byte_for_byte_and_the_answer_has_its_text(
    daemon: Daemon,
) -> None:
    text = "# a comment\r\n" + flow().replace("\n", "\r\n")

    document = await daemon.deploy(text)

    assert (document["revision"], document["source"]) == (1, text)
    (file,) = daemon.flows.iterdir()
    assert (file.name, file.read_bytes()) == ("t_one.yml", text.encode())


async def test_a_revision_counts_texts_not_saves(daemon: Daemon) -> None:
    revisions = [
        (await daemon("PUT" if n else "POST", f"/flows{'/t/one' if n else ''}", data=text)).json[
            "revision"
        ]
        for n, text in enumerate([flow(), flow(), flow(text="b"), flow()])
    ]

    assert revisions == [1, 1, 2, 3]
    history = (await daemon("GET", "/flows/t/one/revisions")).json
    assert [(each["revision"], each["source"]) for each in history] == [
        (1, flow()),
        (2, flow(text="b")),
        (3, flow()),
    ]
    old = await daemon("GET", "/flows/t/one", params={"revision": "2", "source": "true"})
    assert old.json["source"] == flow(text="b")


async def test_a_deleted_flow_goes_to_the_trash_and_counts_on_when_it_comes_back(
    daemon: Daemon,
) -> None:
    await daemon.deploy(flow())

    deleted = await daemon("DELETE", "/flows/t/one")

    assert deleted.status == 204
    assert list(daemon.flows.iterdir()) == []
    assert [file.read_text() for file in (daemon.state / "trash").iterdir()] == [flow()]
    assert (await daemon("GET", "/flows/t/one")).status == 404
    gone = await daemon("GET", "/flows/t/one", params={"allowDeleted": "true"})
    assert gone.json["revision"] == 1
    assert (await daemon.deploy(flow(text="new")))["revision"] == 2


async def test_what_exists_is_not_created_and_what_does_not_is_not_updated(
    daemon: Daemon,
) -> None:
    await daemon.deploy(flow())

    again = await daemon("POST", "/flows", data=flow())
    absent = await daemon("PUT", "/flows/t/two", data=flow("two"))
    renamed = await daemon("PUT", "/flows/t/one", data=flow("two"))

    assert (again.status, "already exists" in again.json["message"]) == (422, True)
    assert absent.status == 404
    assert renamed.status == 422


@pytest.mark.parametrize("body", ["", "id: [", "id: x", "\ufeff", "just text"])
async def test_what_is_no_flow_is_refused_and_leaves_no_file(daemon: Daemon, body: str) -> None:
    answer = await daemon("POST", "/flows", data=body)

    assert answer.status in (400, 422)
    assert answer.json["message"]
    assert list(daemon.flows.iterdir()) == []


async def test_a_refusal_names_the_place_and_the_property(daemon: Daemon) -> None:
    answer = await daemon("POST", "/flows", data=flow().replace("message", "mesage"))

    assert answer.status == 422
    assert "4:" in answer.json["message"]
    assert "mesage" in answer.json["message"]
    assert answer.json["_embedded"]["errors"]


async def test_validating_answers_200_with_one_result_a_document(daemon: Daemon) -> None:
    body = f"{flow()}\n---\n{flow('two').replace('message', 'mesage')}"

    answer = await daemon("POST", "/flows/validate", data=body)

    good, bad = answer.json
    assert answer.status == 200
    assert (good["index"], good["flow"], "constraints" in good) == (0, "one", False)
    assert (bad["index"], bad["flow"], "mesage" in bad["constraints"]) == (1, "two", True)
    assert list(daemon.flows.iterdir()) == []


async def test_lists_and_searches(daemon: Daemon) -> None:
    for name in ("one", "two", "three"):
        await daemon.deploy(flow(name))

    async def found(**params: str) -> list[str]:
        answer = await daemon("GET", "/flows/search", params=params)
        return [each["id"] for each in answer.json["results"]]

    assert await found() == ["one", "three", "two"]
    assert await found(q="T") == ["one", "three", "two"]
    assert await found(q="TW") == ["two"]
    assert await found(sort="id:desc", size="2") == ["two", "three"]
    assert await found(**{"filters[flowId][STARTS_WITH]": "t"}) == ["three", "two"]
    assert await found(**{"filters[namespace][PREFIX]": "other"}) == []
    assert [each["id"] for each in (await daemon("GET", "/flows/t")).json] == [
        "one",
        "three",
        "two",
    ]
    assert (await daemon("GET", "/flows/distinct-namespaces")).json == ["t"]
    source = (await daemon("GET", "/flows/source", params={"q": "hello"})).json
    assert source["total"] == 3


async def test_storing_several_replaces_those_that_are_not_among_them(daemon: Daemon) -> None:
    await daemon.deploy(flow("old"))

    answer = await daemon("POST", "/flows/bulk", data=f"{flow('one')}\n---\n{flow('two')}")

    assert [each["id"] for each in answer.json] == ["one", "two"]
    assert sorted(file.name for file in daemon.flows.iterdir()) == ["t_one.yml", "t_two.yml"]


async def test_one_broken_flow_of_several_stores_none(daemon: Daemon) -> None:
    await daemon.deploy(flow("old"))

    answer = await daemon("POST", "/flows/t", data=f"{flow('one')}\n---\nid: two\n")

    assert answer.status == 422
    assert [file.name for file in daemon.flows.iterdir()] == ["t_old.yml"]


async def test_disabling_and_enabling_changes_the_file(daemon: Daemon) -> None:
    await daemon.deploy(flow())
    names = [{"namespace": "t", "id": "one"}]

    await daemon("POST", "/flows/disable/by-ids", json=names)
    refused = await daemon("POST", "/executions/t/one")
    await daemon("POST", "/flows/enable/by-ids", json=names)

    assert refused.status == 409
    assert (await daemon.run("one"))["state"]["current"] == "SUCCESS"
    assert (daemon.flows / "t_one.yml").read_text() == flow() + "disabled: false\n"


async def test_an_execution_shows_the_revision_that_it_ran(daemon: Daemon) -> None:
    await daemon.deploy(flow() + "variables: {v: old}\n")
    execution = await daemon.run("one")
    await daemon("PUT", "/flows/t/one", data=flow() + "variables: {v: new}\n")

    shown = (await daemon("GET", f"/executions/{execution['id']}")).json

    assert (shown["flowRevision"], shown["variables"]) == (1, {"v": "old"})
