"""Flows checked without storing them (http-api 4.6)."""

from __future__ import annotations

import re

import anyio.to_thread
from aiohttp import BodyPartReader, web

from runner.api.answers import json_response
from runner.api.flows import documents
from runner.api.services import BadRequest, Services, services
from runner.api.shapes import Json
from runner.errors import FlowInvalid, Problem

ROUTES = web.RouteTableDef()

_REVISION = re.compile(r"(?m)^revision:[ \t]*(\d+)[ \t]*$")


@ROUTES.post("/flows/validate")
async def validate(request: web.Request) -> web.Response:
    """What is wrong with each flow of the body; always 200, one result a document."""
    api = services(request)
    results: list[Json] = []
    for name, text in await _texts(request):
        for document in documents(text) or [text]:
            result = await _result(api, document)
            named = {"index": len(results)} | ({"filename": name} if name else {})
            results.append(named | result)
    return json_response(results)


async def _texts(request: web.Request) -> list[tuple[str, str]]:
    """The texts of the body, each with its file name if it came as a part of a form."""
    if request.content_type != "multipart/form-data":
        return [("", (await request.read()).decode("utf-8-sig", "replace"))]
    found: list[tuple[str, str]] = []
    try:
        async for part in await request.multipart():
            if isinstance(part, BodyPartReader):
                content = bytes(await part.read())
                name = part.filename or part.name or ""
                found.append((name, content.decode("utf-8-sig", "replace")))
    except ValueError as error:
        raise BadRequest(f"Bad Request: the form cannot be read: {error}") from error
    return found


async def _result(api: Services, text: str) -> Json:
    try:
        flow = await anyio.to_thread.run_sync(api.flows.check, text)
    except FlowInvalid as error:
        return _refused(text, error.problems)
    unsupported = [each for each in flow.problems if each.kind == "unsupported"]
    if unsupported:
        return _refused(text, unsupported)
    return {
        "flow": flow.id,
        "namespace": flow.namespace,
        "outdated": _is_outdated(api, text, flow.namespace, flow.id),
        "deprecationPaths": [],
        "warnings": [_line(each) for each in flow.problems],
        "infos": [],
    }


def _refused(text: str, problems: list[Problem] | tuple[Problem, ...]) -> Json:
    wrong = [each for each in problems if each.kind != "warning"]
    warnings = [_line(each) for each in problems if each.kind == "warning"]
    result: Json = {"constraints": "\n".join(_line(each) for each in wrong), "outdated": False}
    for key, name in (("id", "flow"), ("namespace", "namespace")):
        if found := re.search(rf"(?m)^{key}:[ \t]*[\"']?([\w.-]+)", text):
            result[name] = found[1]
    return result | ({"warnings": warnings} if warnings else {})


def _line(problem: Problem) -> str:
    """A problem as clients read it: its path, then what is wrong, on one line."""
    text = f"{problem.path}: {problem.message}" if problem.path else problem.message
    hint = f" ({problem.hint})" if problem.hint else ""
    place = f" [line {problem.line}]" if problem.line else ""
    return " ".join(f"{text}{hint}{place}".split())


def _is_outdated(api: Services, text: str, namespace: str, flow_id: str) -> bool:
    """Whether the text says a revision that is not the next one."""
    said = _REVISION.search(text)
    if said is None:
        return False
    path = api.flows.path(namespace, flow_id)
    last = api.flows.find(namespace, flow_id).revision if path else 0
    return int(said[1]) != last + 1
