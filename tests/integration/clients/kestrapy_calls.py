"""What users of PyPI's `kestrapy` do, in either dialect. Prints what came back as JSON."""
# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false, reportCallIssue=false

import json
import sys
import time
import warnings

warnings.simplefilter("ignore")
import kestrapy  # noqa: E402

OLD = kestrapy.__version__.startswith("1.")
T = {"tenant": "main"}
PAGE = {"page": 1, "size": 50}
host, source, updated, ask = sys.argv[1:5]
client = kestrapy.KestraClient(kestrapy.Configuration(host=host))
found: dict[str, object] = {"version": kestrapy.__version__}


def word(value: object) -> str:
    """An enumeration's value as text."""
    return str(getattr(value, "value", value))


def state(execution: object) -> str:
    return word(execution.state.current)


def until(execution_id: str, wanted: str) -> object:
    """The execution, once it is in that state."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        execution = client.executions.execution(execution_id=execution_id, **T)
        if state(execution) == wanted:
            return execution
        time.sleep(0.02)
    raise SystemExit(f"{execution_id} is not {wanted} but {state(execution)}")


def run(flow: str, wait: bool = True) -> object:
    return client.executions.create_execution(
        namespace="t", id=flow, wait=wait, labels=["team:data"], **T
    )


flows, executions = client.flows, client.executions
created = flows.create_flow(body=source, **T)
changed = flows.update_flow(namespace="t", id=created.id, body=updated, **T)
flows.create_flow(body=ask, **T)
read = flows.flow(namespace="t", id=created.id, source=True, allow_deleted=False, **T)
found["revisions"] = [created.revision, changed.revision, read.revision]
found["source"] = read.source
found["flows"] = sorted(each.id for each in flows.search_flows(**PAGE, **T).results)
checked = flows.validate_flows(body=f"{source}\n---\nid: x\n", **T)
found["valid"] = [getattr(each, "constraints", None) is None for each in checked]
history = flows.list_flow_revisions(namespace="t", id=created.id, allow_delete=False, **T)
found["history"] = [each.revision for each in history]
flows.generate_flow_graph(namespace="t", id=created.id, **T)

ran = run(created.id)
found["ran"] = state(ran)
found["labels"] = [[each.key, each.value] for each in ran.labels if each.key == "team"]
found["inputs"] = ran.inputs
field, op = kestrapy.QueryFilterField, kestrapy.QueryFilterOp
filters = [
    kestrapy.QueryFilter(field=field.LABELS, operation=op.EQUALS, value={"team": "data"}),
]
if not OLD:  # 1.0.8 takes maps only
    filters += [
        kestrapy.QueryFilter(field=field.NAMESPACE, operation=op.PREFIX, value="t"),
        kestrapy.QueryFilter(field=field.STATE, operation=op.IN, value=["SUCCESS", "FAILED"]),
    ]
page = executions.search_executions(**PAGE, filters=filters, **T)
found["total"] = page["total"] if isinstance(page, dict) else page.total
again = executions.replay_execution(execution_id=ran.id, **T)
found["replayed"] = state(until(again.id, "SUCCESS"))
found["original"] = again.original_id if hasattr(again, "original_id") else None
events = list(executions.follow_execution(execution_id=ran.id, **T))
found["followed"] = [e["state"]["current"] if OLD else state(e) for e in events][-1]

waits = run("asks", wait=False)
until(waits.id, "PAUSED")
executions.resume_execution(execution_id=waits.id, **T)
until(waits.id, "FAILED")
executions.restart_execution(execution_id=waits.id, **T)
until(waits.id, "FAILED")
executions.update_execution_status(execution_id=waits.id, status=kestrapy.StateType.WARNING, **T)
found["changed"] = state(executions.execution(execution_id=waits.id, **T))
killed = run("asks", wait=False)
until(killed.id, "PAUSED")
executions.kill_execution(execution_id=killed.id, is_on_kill_cascade=True, **T)
found["killed"] = state(until(killed.id, "KILLED"))
executions.delete_execution(execution_id=killed.id, **T)

client.kv.set_key_value(namespace="t", key="n", body='{"a": 1}', **T)
value = client.kv.key_value(namespace="t", key="n", **T)
found["kv"] = [word(value.type), value.value]
found["keys"] = [each.key for each in client.kv.list_all_keys(**PAGE, **T).results]
client.kv.delete_key_value(namespace="t", key="n", **T)
client.namespaces.namespace(id="t", **T)
triggers = client.triggers.search_triggers_for_flow(namespace="t", flow_id=created.id, **PAGE, **T)
found["triggers"] = (
    [each["triggerId"] for each in triggers["results"]]
    if isinstance(triggers, dict)
    else [each.trigger_id for each in triggers.results]
)
client.triggers.search_triggers(**PAGE, **T)

if not OLD:
    found["eval"] = executions.eval_expression(ran.id, "main", "{{ outputs.say.value }}")
    if not isinstance(found["eval"], dict):
        found["eval"] = {"result": found["eval"].result}
    client.files.create_namespace_file("t", "/dir/a.py", "main", "print(1)")
    found["file"] = bytes(client.files.file_content("t", "/dir/a.py", "main")).decode()
    listed = client.files.list_namespace_directory_files("t", "main", "/dir")
    found["listed"] = [
        each["fileName"] if isinstance(each, dict) else each.file_name for each in listed
    ]
    logs = client.logs.list_logs_from_execution(ran.id, "main")
    found["logs"] = [each["message"] if isinstance(each, dict) else each.message for each in logs]
    found["task outputs"] = client.outputs.execution_outputs(ran.id, "main")

flows.delete_flow(namespace="t", id=created.id, **T)
print(json.dumps(found, default=str))
