"""The key-value store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from runner.errors import Conflict, InputInvalid, NotFound
from runner.storage.kv import KeyValues, KvType, lineage


@pytest.fixture
def kv(tmp_path: Path) -> KeyValues:
    return KeyValues(tmp_path)


@pytest.mark.parametrize(
    ("value", "type_"),
    [
        ("text", KvType.STRING),
        (5, KvType.NUMBER),
        (1.5, KvType.NUMBER),
        (True, KvType.BOOLEAN),
        ({"a": [1, None]}, KvType.JSON),
        ([1], KvType.JSON),
    ],
)
def test_a_value_keeps_its_type_over_a_restart(tmp_path: Path, value: Any, type_: KvType) -> None:
    KeyValues(tmp_path).set("a.b", "k", value)
    entry = KeyValues(tmp_path).entry("a.b", "k")

    assert entry is not None
    assert (entry.value, entry.type, entry.version) == (value, type_, 1)


def test_every_value_of_a_key_has_the_next_version(kv: KeyValues) -> None:
    first = kv.set("n", "k", 1, description="a number")
    second = kv.set("n", "k", 2)

    assert (second.version, second.created, second.description) == (2, first.created, "a number")
    assert second.updated >= first.updated
    assert kv.get("n", "k") == 2


def test_a_key_that_must_be_new_and_is_not_is_refused(kv: KeyValues) -> None:
    kv.set("n", "k", 1)

    with pytest.raises(Conflict, match="Key already exists and `overwrite` is set to `false`"):
        kv.set("n", "k", 2, overwrite=False)
    assert kv.get("n", "k") == 1


def test_an_expired_key_is_gone_when_somebody_has_looked(kv: KeyValues) -> None:
    kv.set("n", "k", 1, ttl=timedelta())

    assert kv.keys("n") == []
    assert [entry.key for entry in kv.entries("n", expired=True)] == ["k"]
    with pytest.raises(Conflict, match="Key already exists"):
        kv.set("n", "k", 2, overwrite=False)
    with pytest.raises(NotFound, match="The key 'k' does not exist in the namespace 'n'"):
        kv.get("n", "k")
    assert not kv.entries("n", expired=True)
    assert not kv.delete("n", "k")
    kv.set("n", "k", 2, overwrite=False)
    assert kv.get("n", "k") == 2


def test_a_key_lives_as_long_as_it_was_given(kv: KeyValues) -> None:
    entry = kv.set("n", "k", 1, ttl=timedelta(hours=1))

    assert entry.expires is not None
    assert not entry.is_expired(entry.updated + timedelta(minutes=59))
    assert entry.is_expired(entry.updated + timedelta(hours=1))


def test_parent_namespaces_are_searched_unless_one_is_named(kv: KeyValues) -> None:
    kv.set("a", "k", "above")
    kv.set("a.b.c", "gone", 1, ttl=timedelta())
    kv.set("a", "gone", "still here")

    found = kv.find(None, "a.b.c", "k")
    assert found is not None
    assert (found.value, found.namespace) == ("above", "a")
    assert kv.find("a.b.c", "a.b.c", "k") is None
    inherited = kv.find(None, "a.b.c", "gone")
    assert inherited is not None
    assert inherited.value == "still here"
    assert list(lineage("a.b.c")) == ["a.b.c", "a.b", "a"]


@pytest.mark.parametrize("key", ["", "bad key!", "-x", ".x", "../x", "a/b", "k\n", "x" * 300])
def test_what_is_no_key_is_refused_and_never_found(kv: KeyValues, key: str) -> None:
    with pytest.raises(InputInvalid, match="Key must"):
        kv.set("n", key, 1)
    assert kv.entry("n", key) is None
    assert not kv.delete("n", key)


def test_keys_are_listed_by_prefix_and_namespace(kv: KeyValues) -> None:
    for namespace, key in [("a", "x_b"), ("a", "x_a"), ("a", "y"), ("a.b", "x_c")]:
        kv.set(namespace, key, 1)

    assert kv.keys("a", "x_") == ["x_a", "x_b"]
    assert kv.keys("nothing.here") == []
    assert kv.namespaces() == ["a", "a.b"]
    assert kv.delete("a", "y")
    assert kv.keys("a") == ["x_a", "x_b"]


def test_moments_are_kept_aware(kv: KeyValues) -> None:
    before = datetime.now(UTC)

    assert kv.set("n", "k", 1).created >= before
