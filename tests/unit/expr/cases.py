"""What the tests of the language share: services with fixed answers, and tagged values."""

from __future__ import annotations

import base64
import binascii
import random
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import cast

from runner.errors import RenderFailed
from runner.expr import Scope, Services
from runner.expr.values import Instant, LocalDateTime


class FixedServices(Services):
    """Secrets from an environment, a key-value store from a map, a clock that stands still."""

    def __init__(
        self,
        env: Mapping[str, str] | None = None,
        kv: Mapping[str, Mapping[str, object]] | None = None,
        namespace: str = "company.team",
    ) -> None:
        self.environment = dict(env or {})
        self.store = {name: dict(entries) for name, entries in (kv or {}).items()}
        self.namespace = namespace
        self.files = {"greeting.txt": "hello"}
        self.secrets: list[str] = []
        self.warnings: list[str] = []
        self.touched: list[str] = []

    def secret(self, key: str, namespace: str | None) -> str:
        try:
            raw = self.environment[f"SECRET_{key.upper()}"]
            return base64.b64decode(raw, validate=True).decode()
        except (KeyError, binascii.Error):
            raise RenderFailed(f"Cannot find secret for key '{key}'.") from None

    def on_secret(self, value: str) -> None:
        self.secrets.append(value)

    def kv(self, key: str, namespace: str | None) -> object:
        self.touched.append(f"kv {key}")
        parts = self.namespace.split(".")
        own = [".".join(parts[:size]) for size in range(len(parts), 0, -1)]
        for name in [namespace] if namespace else own:
            if key in self.store.get(name, {}):
                return self.store[name][key]
        raise KeyError(key)

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


def untagged(value: object) -> object:
    """Give `value` with `{"$instant": ...}` and the like turned into values of time."""
    if isinstance(value, dict):
        entries = cast("dict[str, object]", value)
        if len(entries) == 1:
            for tag, read in _TAGS.items():
                if tag in entries:
                    return read(str(entries[tag]))
        return {key: untagged(item) for key, item in entries.items()}
    if isinstance(value, list):
        return [untagged(item) for item in cast("list[object]", value)]
    return value


_TAGS = {
    "$instant": Instant.parse,
    "$date": date.fromisoformat,
    "$ldt": lambda text: LocalDateTime.of(datetime.fromisoformat(text)),
}


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
