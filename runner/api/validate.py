"""Flows checked without storing them (http-api 4.6)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, cast

import anyio.to_thread
from aiohttp import BodyPartReader, web

from runner.api.answers import json_response
from runner.api.flows import documents
from runner.api.services import BadRequest, Services, services
from runner.api.shapes import Json
from runner.errors import FlowInvalid, Problem
from runner.loading.source import read
from runner.model.flow import Flow
from runner.patterns import regex

ROUTES = web.RouteTableDef()

_LOG = "io.kestra.plugin.core.log.Log"

_REVISION = regex(r"(?m)^revision:[ \t]*(\d+)[ \t]*$")


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


@ROUTES.post("/flows/validate/task")
async def validate_task(request: web.Request) -> web.Response:
    """What is wrong with the task in the body, or with the trigger for `section=TRIGGERS`."""
    section = request.query.get("section", "TASKS").upper()
    if section not in ("TASKS", "TRIGGERS"):
        raise BadRequest(f"Bad Request: 'section' must be TASKS or TRIGGERS, not '{section}'")
    return json_response(await _part(request, section.lower()))


@ROUTES.post("/flows/validate/trigger")
async def validate_trigger(request: web.Request) -> web.Response:
    """What is wrong with the trigger in the body."""
    return json_response(await _part(request, "triggers"))


async def _part(request: web.Request, section: str) -> Json:
    """What is wrong with a part of a flow: it is put into a flow that is right otherwise."""
    text = (await request.read()).decode("utf-8-sig", "replace")
    lines = [f"    {line}" for line in text.replace("\t", "  ").splitlines()]
    head = ["id: part", "namespace: part", f"{section}:", "  -"]
    tail = (
        [] if section == "tasks" else ["tasks:", f"  - {{id: part-task, type: {_LOG}, message: m}}"]
    )
    flow = "\n".join([*head, *lines, *tail])
    found, problems = await _checked(services(request), flow)
    if found is None or problems:
        at = [_moved(each, f"{section}[0]", len(head)) for each in problems]
        return {"index": 0} | _refused("", at)
    warnings = [_line(_moved(each, f"{section}[0]", len(head))) for each in found.problems]
    return {"index": 0, "outdated": False, "warnings": warnings, "infos": []}


def _moved(problem: Problem, path: str, lines: int) -> Problem:
    """A problem of the flow as one of the part at `path`, which begins after so many lines."""
    inner = problem.path.removeprefix(path).removeprefix(".")
    return replace(problem, path=inner, line=max(problem.line - lines, 0))


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
    flow, wrong = await _checked(api, text)
    if flow is None or wrong:
        return _refused(text, wrong)
    return {
        "flow": flow.id,
        "namespace": flow.namespace,
        "outdated": _is_outdated(api, text, flow.namespace, flow.id),
        "deprecationPaths": [],
        "warnings": [_line(each) for each in flow.problems],
        "infos": [],
    }


async def _checked(api: Services, text: str) -> tuple[Flow | None, Sequence[Problem]]:
    """The flow, None if there is none, and what keeps it from running.

    Paths of problems begin at the root, as editors look for them: `tasks[0].message`.
    """

    def work() -> tuple[Flow | None, Sequence[Problem]]:
        try:
            flow = api.flows.check(text)
        except FlowInvalid as error:
            return None, _rooted(error.problems, text)
        wrong = [each for each in flow.problems if each.kind == "unsupported"]
        return flow, _rooted(wrong, text) if wrong else ()

    return await anyio.to_thread.run_sync(work)


def _rooted(problems: Sequence[Problem], text: str) -> list[Problem]:
    """The problems with the place of a task or trigger in place of its id in their paths."""
    try:
        places = dict(_places(read(text), ""))
    except FlowInvalid:  # no YAML, so no paths
        return list(problems)
    found: list[Problem] = []
    for each in problems:
        place = next((p for id_, p in places.items() if each.path.startswith(f"{id_}.")), None)
        inner = each.path.partition(".")[2]
        found.append(each if place is None else replace(each, path=f"{place}.{inner}"))
    return found


def _places(node: Any, path: str) -> Iterator[tuple[str, str]]:
    """Ids of what has a type, and where it stands."""
    if isinstance(node, dict):
        entries = cast("dict[str, Any]", node)
        if isinstance(entries.get("id"), str) and "type" in entries:
            yield entries["id"], path
        for key, value in entries.items():
            yield from _places(value, f"{path}.{key}" if path else key)
    elif isinstance(node, list):
        for index, value in enumerate(cast("list[Any]", node)):
            yield from _places(value, f"{path}[{index}]")


def _refused(text: str, problems: Sequence[Problem]) -> Json:
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
