"""Keys and files of namespaces over HTTP."""

from __future__ import annotations

import io
import zipfile

import aiohttp
import pytest
from live_daemon import Daemon

READS = """\
id: reads
namespace: a.b
tasks:
  - {id: r, type: io.kestra.plugin.core.debug.Return, format: "{{ kv('k') }} {{ read('d/f.txt') }}"}
"""


def upload(name: str, content: bytes) -> aiohttp.FormData:
    form = aiohttp.FormData()
    form.add_field("fileContent", content, filename=name)
    return form


@pytest.mark.parametrize(
    ("body", "kind", "value"),
    [
        ('"text"', "STRING", "text"),
        ("5", "NUMBER", 5),
        ("true", "BOOLEAN", True),
        ('{"a": [1]}', "JSON", {"a": [1]}),
        ("2026-01-20", "DATE", "2026-01-20"),
        ("2026-01-20T09:15:00Z", "DATETIME", "2026-01-20T09:15:00Z"),
        ("PT5M", "DURATION", "PT5M"),
    ],
)
async def test_a_key_has_the_type_of_its_value(
    daemon: Daemon, body: str, kind: str, value: object
) -> None:
    path = "/namespaces/a.b/kv/k"

    put = await daemon("PUT", path, data=body.encode(), skip_auto_headers=["Content-Type"])
    got = (await daemon("GET", path)).json

    assert put.status == 200
    assert (got["type"], got["value"], got["revision"]) == (kind, value, 1)


async def test_a_bare_word_is_no_value(daemon: Daemon) -> None:
    assert (await daemon("PUT", "/namespaces/a.b/kv/k", data=b"hello")).status == 422


async def test_keys_expire_are_listed_and_deleted(daemon: Daemon) -> None:
    for key in ("one", "two", "three"):
        await daemon("PUT", f"/namespaces/a.b/kv/{key}", data=b"1")
    await daemon("PUT", "/namespaces/a.b/kv/gone", data=b"1", headers={"ttl": "PT0S"})

    expired = await daemon("GET", "/namespaces/a.b/kv/gone")
    listed = (await daemon("GET", "/namespaces/a.b/kv")).json
    every = (await daemon("GET", "/kv", params={"size": "2"})).json
    deleted = await daemon("DELETE", "/namespaces/a.b/kv/one")
    again = await daemon("DELETE", "/namespaces/a.b/kv/one")
    several = await daemon("DELETE", "/namespaces/a.b/kv", json={"keys": ["two", "nope"]})

    assert expired.status == 410
    assert [each["key"] for each in listed] == ["one", "three", "two"]
    assert (every["total"], len(every["results"])) == (3, 2)
    assert (deleted.json, again.json, several.json) == (True, False, {"keys": ["two"]})
    assert (await daemon("GET", "/namespaces/a.b/kv/nope")).status == 404


async def test_a_flow_reads_what_was_put(daemon: Daemon) -> None:
    await daemon.deploy(READS)
    await daemon("PUT", "/namespaces/a.b/kv/k", data=b'"key"')
    await daemon(
        "POST",
        "/namespaces/a.b/files",
        params={"path": "/d/f.txt"},
        data=upload("f.txt", b"file"),
    )

    answer = await daemon("POST", "/executions/a.b/reads", params={"wait": "true"})

    assert answer.json["taskRunList"][0]["outputs"] == {"value": "key file"}


async def test_files_are_written_listed_moved_and_deleted(daemon: Daemon) -> None:
    path = "/namespaces/a.b/files"
    await daemon("POST", path, params={"path": "d/one.txt"}, data=upload("x", b"one"))

    got = await daemon("GET", path, params={"path": "/d/one.txt"})
    listed = (await daemon("GET", f"{path}/directory")).json
    below = (await daemon("GET", f"{path}/directory", params={"path": "d"})).json
    moved = await daemon("PUT", path, params={"from": "/d/one.txt", "to": "/e/two.txt"})
    found = (await daemon("GET", f"{path}/search", params={"q": "two"})).json
    stats = (await daemon("GET", f"{path}/stats", params={"path": "/e/two.txt"})).json
    archive = await daemon("GET", f"{path}/export")
    deleted = await daemon("DELETE", path, params={"path": "/e/two.txt"})

    assert got.body == b"one"
    assert [(each["fileName"], each["type"]) for each in listed] == [("d", "Directory")]
    assert [(each["fileName"], each["size"]) for each in below] == [("one.txt", 3)]
    assert (moved.status, found, stats["size"]) == (200, ["/e/two.txt"], 3)
    assert zipfile.ZipFile(io.BytesIO(archive.body)).namelist() == ["e/two.txt"]
    assert deleted.status == 200
    assert (await daemon("GET", path, params={"path": "/e/two.txt"})).status == 404


@pytest.mark.parametrize("path", ["../x", "/a/../../x", "a//b", "a\0b", "_flows/x.yml", "/"])
async def test_a_path_that_leads_out_is_refused(daemon: Daemon, path: str) -> None:
    answer = await daemon(
        "POST", "/namespaces/a.b/files", params={"path": path}, data=upload("x", b"x")
    )

    assert answer.status == 422
    assert not list((daemon.state / "storage").rglob("x*"))


async def test_an_archive_is_unpacked_unless_it_leads_out(daemon: Daemon) -> None:
    def packed(*names: str) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name in names:
                archive.writestr(name, "x")
        return buffer.getvalue()

    path = "/namespaces/a.b/files"
    good = await daemon(
        "POST", path, params={"path": "in"}, data=upload("a.zip", packed("a", "b/c"))
    )
    bad = await daemon(
        "POST", path, params={"path": "in"}, data=upload("a.zip", packed("ok", "../../evil"))
    )

    assert (good.status, bad.status) == (200, 422)
    found = (await daemon("GET", f"{path}/search")).json
    assert found == ["/in/a", "/in/b/c"]


@pytest.mark.parametrize("namespace", ["..", "%2e%2e", "a%2Fb", "A", "a%00b"])
async def test_what_cannot_be_a_namespace_is_refused(daemon: Daemon, namespace: str) -> None:
    from yarl import URL

    url = URL(f"{daemon.api}/namespaces/{namespace}/kv/k", encoded=True)
    async with daemon.session.put(url, data=b"1") as response:
        assert response.status in (404, 422)
    assert not list((daemon.state / "storage").rglob("k.json"))


async def test_namespaces_are_listed_with_those_above(daemon: Daemon) -> None:
    await daemon.deploy(READS)

    found = (await daemon("GET", "/namespaces/search")).json

    assert [(each["id"], each["disabled"]) for each in found["results"]] == [
        ("a", True),
        ("a.b", False),
    ]
    assert (await daemon("GET", "/namespaces/other")).json == {"id": "other", "deleted": False}
