"""The pages about the daemon and its API name every route and every setting."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from runner.api.app import described, routes
from runner.api.reference import openapi, table
from runner.settings import Settings

DOCS = Path(__file__).parents[2] / "docs"

OF_THE_DAEMON = {
    *("host", "port", "state_dir", "read_only", "api_user", "api_password", "api_token"),
    *("allowed_hosts", "cors_origins", "max_upload_bytes", "drain"),
}


def test_the_table_of_routes_is_that_of_the_code() -> None:
    page = (DOCS / "api.md").read_text()

    assert table(described()) in page, (
        "write the output of runner.api.reference.table to docs/api.md"
    )


def test_every_route_says_what_it_does() -> None:
    rows = table(described()).splitlines()[2:]

    assert [row for row in rows if row.rstrip(" |").endswith("`")] == []


def test_every_setting_of_the_daemon_is_described() -> None:
    page = (DOCS / "serve.md").read_text()

    assert {each.name for each in fields(Settings)} >= OF_THE_DAEMON
    assert [name for name in OF_THE_DAEMON if f"`{name}`" not in page] == []


def test_the_openapi_document_has_every_route_under_a_name_of_its_own() -> None:
    document = openapi(described())

    operations = [each for path in document["paths"].values() for each in path.values()]
    names = [each["operationId"] for each in operations]
    assert len(names) == len(set(names)) == len(described())
    assert len(list(routes())) > len(names)
    for path, methods in document["paths"].items():
        for operation in methods.values():
            named = {each["name"] for each in operation["parameters"] if each["in"] == "path"}
            assert named == {part.strip("{}") for part in path.split("/") if part.startswith("{")}


def test_the_openapi_document_tells_what_the_handlers_read() -> None:
    paths = openapi(described())["paths"]

    def query(method: str, path: str) -> set[str]:
        parameters = paths[f"/api/v1/main{path}"][method]["parameters"]
        return {each["name"] for each in parameters if each["in"] == "query"}

    def kinds(method: str, path: str) -> set[str]:
        return set(paths[f"/api/v1/main{path}"][method]["requestBody"]["content"])

    create = query("post", "/executions/{namespace}/{id}")
    assert create >= {"labels", "wait", "revision", "scheduleDate", "kind", "taskRunId", "status"}
    assert query("get", "/executions/search") >= {"page", "size", "sort", "state", "namespace"}
    assert kinds("post", "/flows") >= {"application/x-yaml"}
    assert kinds("post", "/executions/{namespace}/{id}") >= {"multipart/form-data"}
    assert kinds("put", "/triggers") == {"application/json"}
