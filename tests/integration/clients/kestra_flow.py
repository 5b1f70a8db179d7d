"""What a user of PyPI's `kestra` does: run flows from Python. Prints what came back as JSON."""
# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false, reportCallIssue=false

import importlib.metadata
import json
import sys
from pathlib import Path

import kestra  # the real one: it comes first on the path
from kestra import Flow

tenant = None if sys.argv[1] == "-" else sys.argv[1]
report = Path(sys.argv[2])


def run(flow: str, inputs: dict[str, object] | None = None, **more: bool) -> list[object]:
    """Run a flow of namespace `t`; gives its status and log."""
    found = Flow(tenant=tenant, **more)
    found.poll_interval = 0.05
    ended = found.execute("t", flow, inputs or {})
    return [str(ended.status), str(ended.log), str(ended.error)]


with report.open("rb") as named, report.open("rb") as old:
    print(
        json.dumps(
            {
                "file": kestra.__file__,
                "version": importlib.metadata.version("kestra"),
                "plain": run("hello"),
                "inputs": run(
                    "hello", {"name": "Ann", "count": 4, "yes": True}, labels_from_inputs=True
                ),
                "named": run("reads", {"data": ("report.csv", named, "text/csv")}),
                "old": run("reads", {"files": ("data", old, "text/plain")}),
                "failing": run("fails"),
                "started": run("hello", wait_for_completion=False),
            }
        )
    )
