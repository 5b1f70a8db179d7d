"""Functions about the template itself and the execution it is rendered for."""

from __future__ import annotations

from collections.abc import Iterator

from runner.errors import RenderFailed
from runner.expr.context import Arguments, Context, Scope
from runner.expr.faults import Fault
from runner.expr.registry import function
from runner.expr.values import is_list, is_map


@function("render", "toRender recursive")
def render(arguments: Arguments) -> object:
    """The result of rendering a text again and again until it changes no more.

    Lists and maps are rendered item by item, keys too; other values stay as they are.

    >>> {{ render('{{ 1 + 1 }}') }}
    2
    """
    if "toRender" not in arguments:
        raise Fault("The 'render' function expects an argument 'toRender'.")
    recursive = arguments.get("recursive")
    if recursive is not None and not isinstance(recursive, bool):
        raise Fault(
            "The 'render' function expects an optional argument 'recursive' with type boolean."
        )
    return _rendered(arguments, recursive is not False)


@function("renderOnce", "toRender")
def render_once(arguments: Arguments) -> object:
    """The result of rendering a text once: braces in the result stay.

    >>> {{ renderOnce('{{ 1 + 1 }}') }}
    2
    """
    if "toRender" not in arguments:
        raise Fault("The 'render' function expects an argument 'toRender'.")
    return _rendered(arguments, recursive=False)


def _rendered(arguments: Arguments, recursive: bool) -> object:
    context = arguments.context
    context.enter_render()
    try:
        return _render_value(arguments.get("toRender"), context, context.subscope(), recursive)
    except RenderFailed as error:
        raise Fault(error.reason, hint=error.hint) from error
    finally:
        context.budget.depth -= 1


def _render_value(value: object, context: Context, scope: Scope, recursive: bool) -> object:
    from runner.expr.render import render_within

    context.budget.spend_items(1)
    if isinstance(value, str):
        return render_within(value, scope, context.budget, recursive=recursive)
    if is_map(value):
        result: dict[object, object] = {}
        for key, item in value.items():
            name = _render_value(key, context, scope, recursive) if isinstance(key, str) else key
            if name not in result:
                result[name] = _render_value(item, context, scope, recursive)
        return result
    if is_list(value):
        return [_render_value(item, context, scope, recursive) for item in value]
    return value


def _all_variables(arguments: Arguments) -> object:
    return dict(arguments.context.visible().items())


@function("printContext")
def print_context(arguments: Arguments) -> object:
    """All variables as one map: print it to see what there is.

    >>> {{ printContext() | length > 0 }}
    true
    """
    return _all_variables(arguments)


@function("fetchContext")
def fetch_context(arguments: Arguments) -> object:
    """All variables as one map.

    >>> {{ fetchContext().flow.id }}
    hello
    """
    return _all_variables(arguments)


def _values_of_parents(context: Context) -> Iterator[object]:
    """Give the loop values of the parents, outermost first, then that of the task run."""
    parents = context.get("parents")
    for parent in reversed(parents if is_list(parents) else ()):
        taskrun = parent.get("taskrun") if is_map(parent) else None
        if is_map(taskrun) and taskrun.get("value") is not None:
            yield taskrun["value"]
    taskrun = context.get("taskrun")
    if is_map(taskrun) and taskrun.get("value") is not None:
        yield taskrun["value"]


@function("currentEachOutput", "outputs")
def current_each_output(arguments: Arguments) -> object:
    """The outputs of a task inside loops, for the current iteration of each of them.

    >>> {{ currentEachOutput(outputs.each).value }}
    in b
    """
    outputs = arguments.get("outputs")
    if "outputs" not in arguments:
        raise Fault("The 'currentEachOutput' function expects an argument 'outputs'.")
    if not is_map(outputs):
        raise Fault("The 'currentEachOutput' function expects an argument 'outputs' with type map.")
    if not is_map(arguments.context.get("taskrun")):
        raise Fault(
            "The 'currentEachOutput' function can be called in the loop of a task run only."
        )
    found: object = outputs
    for value in _values_of_parents(arguments.context):
        if not is_map(found):
            raise Fault(f"The outputs have no iteration '{value}'.")
        found = found.get(value)
    return found


@function("tasksWithState", "state")
def tasks_with_state(arguments: Arguments) -> object:
    """The task runs in a state, as maps with `taskId`, `state` and, under loops, `value`.

    >>> {{ tasksWithState('failed') }}
    [{"taskId":"a","state":"FAILED"}]
    """
    wanted = arguments.needed_text("state").upper()
    tasks = arguments.context.get("tasks")
    result: list[object] = []
    if not is_map(tasks):
        return result
    for task_id, runs in tasks.items():
        if not is_map(runs):
            continue
        state = runs.get("state")
        if isinstance(state, str):
            if state.upper() == wanted:
                result.append({"taskId": task_id, "state": state})
            continue
        for value, run in runs.items():
            state = run.get("state") if is_map(run) else None
            if isinstance(state, str) and state.upper() == wanted:
                result.append({"taskId": task_id, "state": state, "value": value})
    return result


@function("block", "name")
def block(arguments: Arguments) -> object:
    """The text of a `{% block %}` once more; nothing when there is no such block.

    >>> {% block b %}X{% endblock %}{{ block('b') }}
    XX
    """
    from runner.expr.tags import render_text

    context = arguments.context
    context.budget.round()
    if "name" not in arguments:
        raise Fault("The 'block' function expects an argument 'name'.")
    return render_text(context.template.blocks.get(arguments.text("name") or "", ()), context)


@function("parent")
def parent(_: Arguments) -> object:
    """Always an error: templates here inherit from nothing.

    >>> {{ parent is defined }}
    false
    """
    raise Fault("Can not use parent function if template does not extend another template.")
