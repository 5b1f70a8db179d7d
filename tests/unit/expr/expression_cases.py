"""What the tests of the language share: services with fixed answers, and tagged values."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import cast

from runner.cli.eval import EvalServices, untagged
from runner.errors import RenderFailed
from runner.expr import Scope


class FixedServices(EvalServices):
    """Secrets from an environment, a key-value store from a map, a clock that stands still."""

    def __init__(
        self,
        env: Mapping[str, str] | None = None,
        kv: Mapping[str, Mapping[str, object]] | None = None,
        namespace: str = "company.team",
    ) -> None:
        super().__init__(env or {}, kv, namespace)
        self.files = {"greeting.txt": "hello"}
        self.secrets: list[str] = []
        self.warnings: list[str] = []
        self.touched: list[str] = []

    def on_secret(self, value: str) -> None:
        self.secrets.append(value)

    def kv(self, key: str, namespace: str | None) -> object:
        self.touched.append(f"kv {key}")
        return super().kv(key, namespace)

    def read(self, path: str, namespace: str | None) -> str:
        self.touched.append(f"read {path}")
        if path not in self.files:
            raise RenderFailed(f"Unable to read the file '{path}'")
        return self.files[path]

    def file_size(self, path: str, namespace: str | None) -> int:
        return len(self.read(path, namespace))

    def file_exists(self, path: str, namespace: str | None) -> bool:
        return path in self.files

    def error_logs(self) -> Sequence[Mapping[str, object]]:
        return [{"taskId": "a", "message": "it broke"}]

    def http(
        self,
        method: str,
        uri: str,
        *,
        query: Mapping[str, object],
        body: object,
        content_type: str,
        headers: Mapping[str, object],
        options: Mapping[str, object],
        accept: str,
    ) -> str:
        return '{"id": 7}'

    def now(self) -> datetime:
        return datetime(2026, 1, 31, 12, 0, tzinfo=UTC)

    def random(self) -> random.Random:
        return random.Random(7)

    def warn(self, message: str) -> None:
        self.warnings.append(message)


def scope_of(case: Mapping[str, object]) -> Scope:
    """Give the scope that a case of the conformance table is rendered in."""
    context = cast("dict[str, object]", untagged(case.get("context") or {}))
    flow = cast("dict[str, str]", context.get("flow") or {})
    services = FixedServices(
        cast("dict[str, str]", case.get("env")),
        cast("dict[str, dict[str, object]]", case.get("kv")),
        flow.get("namespace", "company.team"),
    )
    return Scope(context, services)
