"""The key-value store of namespaces, kept as one small file per key."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from runner.errors import Conflict, InputInvalid, NotFound
from runner.patterns import regex
from runner.records import record
from runner.storage.atomic import publish

_KEY = regex(r"[a-zA-Z0-9][a-zA-Z0-9._-]*")
_SUFFIX = ".json"
_LONGEST_KEY = 240  # a file's name has at most 255 bytes


class KvType(StrEnum):
    """What kind of value a key has."""

    STRING = "STRING"
    NUMBER = "NUMBER"
    BOOLEAN = "BOOLEAN"
    DATETIME = "DATETIME"
    DATE = "DATE"
    DURATION = "DURATION"
    JSON = "JSON"


@record(kw_only=True)
class Entry:
    """A key with its value: JSON-like, and text for dates, date-times and durations.

    `version` counts the values that the key had, from 1. `expires` None: it stays.
    """

    namespace: str
    key: str
    type: KvType
    value: Any
    version: int
    created: datetime
    updated: datetime
    expires: datetime | None = None
    description: str | None = None

    def is_expired(self, now: datetime) -> bool:
        """Whether the value counts as gone at `now`."""
        return self.expires is not None and self.expires <= now


class KeyValues:
    """The keys of all namespaces, in files below `root` (`ns/path/_kv/key.json`).

    For one process; its threads may share it.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lock = threading.Lock()

    def entry(self, namespace: str, key: str) -> Entry | None:
        """The entry of `key` in `namespace` itself, also an expired one; None if there is none."""
        if not _is_key(key):
            return None
        return self._read(self._file(namespace, key), namespace, key)

    def find(self, namespace: str | None, own: str, key: str) -> Entry | None:
        """What a flow of namespace `own` finds under `key`, None if that is nothing or expired.

        In `namespace` if it names one, otherwise in its own and those above, the nearest first.
        Who finds an expired value deletes it: until then the key exists, as on Kestra.
        """
        for entry in self._entries(namespace, own, key):
            if not self._deleted_if_expired(entry):
                return entry
        return None

    def find_living(self, namespace: str | None, own: str, key: str) -> Entry | None:
        """What `find` gives, except that an expired value is not passed over.

        Raises:
            NotFound: the nearest value has expired.
        """
        entry = next(self._entries(namespace, own, key), None)
        if entry is not None and self._deleted_if_expired(entry):
            raise NotFound("The requested value has expired")
        return entry

    def _deleted_if_expired(self, entry: Entry) -> bool:
        if not entry.is_expired(datetime.now(UTC)):
            return False
        self.delete(entry.namespace, entry.key)
        return True

    def _entries(self, namespace: str | None, own: str, key: str) -> Iterator[Entry]:
        """The entries of `key`, expired ones too, in the order in which they are looked for."""
        for place in (namespace,) if namespace else lineage(own):
            entry = self.entry(place, key)
            if entry is not None:
                yield entry

    def get(self, namespace: str, key: str) -> Any:
        """The value of `key` in `namespace` itself.

        Raises:
            NotFound: the key does not exist or has expired.
        """
        entry = self.find(namespace, namespace, key)
        if entry is None:
            raise NotFound(f"The key '{key}' does not exist in the namespace '{namespace}'.")
        return entry.value

    def set(
        self,
        namespace: str,
        key: str,
        value: Any,
        *,
        type: KvType | None = None,
        ttl: timedelta | None = None,
        description: str | None = None,
        overwrite: bool = True,
    ) -> Entry:
        """Give `key` a value, which lives `ttl` long; `type` None takes it from the value.

        Raises:
            InputInvalid: that is no key.
            Conflict: not `overwrite`, and the key has a value, even if that has expired.
        """
        check_key(key)
        now = datetime.now(UTC)
        with self._lock:
            file = self._file(namespace, key)
            old = self._read(file, namespace, key)
            if old is not None and not overwrite:
                raise Conflict(
                    f"Cannot set value for key '{key}'. "
                    "Key already exists and `overwrite` is set to `false`."
                )
            entry = Entry(
                namespace=namespace,
                key=key,
                type=type or type_of(value),
                value=value,
                version=old.version + 1 if old else 1,
                created=old.created if old else now,
                updated=now,
                expires=now + ttl if ttl is not None else None,
                description=description or (old.description if old else None),
            )
            publish(file, _to_json(entry), self.root / ".tmp")
        return entry

    def delete(self, namespace: str, key: str) -> bool:
        """Delete `key`; False if it did not exist."""
        if not _is_key(key):
            return False
        with self._lock:
            file = self._file(namespace, key)
            entry = self._read(file, namespace, key)
            file.unlink(missing_ok=True)
        return entry is not None

    def keys(self, namespace: str, prefix: str = "") -> list[str]:
        """The keys that begin with `prefix` and have not expired, sorted."""
        return [entry.key for entry in self.entries(namespace) if entry.key.startswith(prefix)]

    def entries(self, namespace: str, *, expired: bool = False) -> list[Entry]:
        """The namespace's entries sorted by key, without expired ones unless `expired`."""
        now = datetime.now(UTC)
        folder = self._folder(namespace)
        files = sorted(folder.iterdir()) if folder.is_dir() else []
        found = (self._read(file, namespace, file.name.removesuffix(_SUFFIX)) for file in files)
        kept = [entry for entry in found if entry and (expired or not entry.is_expired(now))]
        return sorted(kept, key=lambda entry: entry.key)

    def namespaces(self) -> list[str]:
        """Namespaces that have keys, sorted."""
        folders = (path for path in self.root.rglob("_kv") if path.is_dir())
        found = (path.parent.relative_to(self.root).as_posix() for path in folders)
        return sorted(path.replace("/", ".") for path in found)

    def _folder(self, namespace: str) -> Path:
        return self.root / namespace.replace(".", "/") / "_kv"

    def _file(self, namespace: str, key: str) -> Path:
        return self._folder(namespace) / f"{key}{_SUFFIX}"

    @staticmethod
    def _read(file: Path, namespace: str, key: str) -> Entry | None:
        try:
            data: dict[str, Any] = json.loads(file.read_bytes())
        except FileNotFoundError:
            return None
        return Entry(
            namespace=namespace,
            key=key,
            type=KvType(data["type"]),
            value=data["value"],
            version=data["version"],
            created=datetime.fromisoformat(data["created"]),
            updated=datetime.fromisoformat(data["updated"]),
            expires=datetime.fromisoformat(data["expires"]) if data["expires"] else None,
            description=data["description"],
        )


def _is_key(key: str) -> bool:
    return len(key) <= _LONGEST_KEY and _KEY.fullmatch(key) is not None


def check_key(key: str) -> None:
    """Raise `InputInvalid` unless `key` may be a key."""
    if not _KEY.fullmatch(key):
        raise InputInvalid(
            "Key must start with an alphanumeric character (uppercase or lowercase) and can "
            "contain alphanumeric characters (uppercase or lowercase), dots (.), underscores (_), "
            "and hyphens (-) only."
        )
    if len(key) > _LONGEST_KEY:
        raise InputInvalid(f"Key must have at most {_LONGEST_KEY} characters, it has {len(key)}.")


def type_of(value: Any) -> KvType:
    """The type of a value that came without one."""
    if isinstance(value, bool):
        return KvType.BOOLEAN
    if isinstance(value, int | float):
        return KvType.NUMBER
    return KvType.STRING if isinstance(value, str) else KvType.JSON


def lineage(namespace: str) -> Iterator[str]:
    """The namespace and those above it: `a.b.c`, `a.b`, `a`."""
    while namespace:
        yield namespace
        namespace = namespace.rpartition(".")[0]


def _to_json(entry: Entry) -> bytes:
    data = {
        "type": entry.type,
        "value": entry.value,
        "version": entry.version,
        "created": entry.created.isoformat(),
        "updated": entry.updated.isoformat(),
        "expires": entry.expires.isoformat() if entry.expires else None,
        "description": entry.description,
    }
    return json.dumps(data, ensure_ascii=False, default=str).encode()
