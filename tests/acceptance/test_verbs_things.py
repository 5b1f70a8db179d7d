"""`eyas flows`, `triggers`, `kv`, `files` and `eval --execution` with a real daemon."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from daemons import FLOWS, Daemon


def test_flows_lists_what_is_in_service_and_what_is_broken(tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    daemon = Daemon(tmp_path / "broken", {"bad": "tasks: [{id: a, type: nothing}]"})

    page = daemon.json("flows")
    table = daemon("flows", "--namespace", "test.verbs", "--output", "table")
    daemon.stop()

    broken = {flow["id"] for flow in page["results"] if "exception" in flow}
    assert broken == {"bad"}
    assert page["total"] == len(FLOWS) + 1
    assert "test.verbs.daily  1         yes         morning" in table
    assert "broken" in next(line for line in table.splitlines() if "verbs.bad" in line)


def test_a_flow_is_shown_as_it_was_written_in_any_revision(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    before = daemon("flows", "show", "daily")
    daemon("flows", "disable", "daily")

    after = daemon("flows", "show", "test.verbs.daily")
    first = daemon.json("flows", "show", "daily", "--revision", "1", "--output", "json")
    revisions = daemon.json("flows", "revisions", "daily")
    unknown = daemon.eyas("flows", "show", "daily", "--revision", "7")
    daemon("flows", "enable", "daily")
    daemon.stop()

    assert before == (tmp_path / "flows" / "daily.yaml").read_text().replace(
        "disabled: false\n", ""
    )
    assert after == before + "disabled: true\n"
    assert first["source"] == before
    assert [each["revision"] for each in revisions] == [1, 2]
    assert unknown.returncode == 2
    assert unknown.stderr.endswith("has no revision 7; it has 1 to 2\n")


def test_a_disabled_flow_is_not_started(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    daemon("flows", "disable", "daily")

    ended = daemon.eyas("flows", "start", "daily")
    daemon.stop()

    assert ended.returncode == 2
    assert "disabled" in ended.stderr


def test_triggers_are_listed_and_switched_off_and_on(daemon: Daemon) -> None:
    (listed,) = daemon.json("triggers")["results"]
    off = daemon.json("triggers", "disable", "morning")
    table = daemon("triggers", "--output", "table")
    on = daemon.json("triggers", "enable", "test.verbs.daily.morning")

    assert listed["triggerContext"]["triggerId"] == "morning"
    assert "T09:00:00" in listed["triggerContext"]["nextExecutionDate"]
    assert (off["disabled"], on["disabled"]) == (True, False)
    assert table.splitlines()[1].split()[:2] == ["test.verbs.daily.morning", "no"]
    assert daemon("triggers", "--namespace", "other", "--output", "jsonl") == ""


def test_a_backfill_starts_what_was_missed(daemon: Daemon) -> None:
    dates = ["--start", "2026-01-01T00:00:00Z", "--end", "2026-01-02T12:00:00Z"]
    state = daemon.json("triggers", "backfill", "morning", *dates)

    assert state["backfill"]["end"] == "2026-01-02T12:00:00.000000Z"


def test_an_unknown_trigger_is_answered_with_a_near_one(daemon: Daemon) -> None:
    ended = daemon.eyas("triggers", "disable", "mornin")

    assert ended.returncode == 2
    assert "Did you mean 'morning'?" in ended.stderr


@pytest.mark.parametrize(
    ("given", "options", "kind", "value"),
    [
        ("hello world", [], "STRING", "hello world"),
        ("42", [], "NUMBER", 42),
        ("42", ["--text"], "STRING", "42"),
        ('{"a": [1]}', [], "JSON", {"a": [1]}),
        ("2026-01-20", [], "DATE", "2026-01-20"),
        ("PT5M", [], "DURATION", "PT5M"),
        ("true", [], "BOOLEAN", True),
    ],
)
def test_a_key_gets_a_value_of_the_type_it_looks_like(
    daemon: Daemon, given: str, options: list[str], kind: str, value: object
) -> None:
    daemon("kv", "set", "test.verbs", "key", given, *options)

    document = daemon.json("kv", "get", "test.verbs", "key", "--output", "json")
    text = daemon("kv", "get", "test.verbs", "key")

    assert document["type"] == kind
    assert document["value"] == value
    assert text == (value if isinstance(value, str) else json.dumps(value)) + "\n"


def test_keys_are_listed_by_namespace_and_deleted(daemon: Daemon) -> None:
    daemon("kv", "set", "test.other", "a", "1", "--ttl", "PT1H", "--description", "what for")

    (entry,) = daemon.json("kv", "--namespace", "test.other")["results"]
    table = daemon("kv", "list", "--output", "table")
    daemon("kv", "delete", "test.other", "a")
    gone = daemon.eyas("kv", "get", "test.other", "a")
    again = daemon.eyas("kv", "delete", "test.other", "a")

    assert (entry["key"], entry["description"]) == ("a", "what for")
    assert "expirationDate" in entry
    assert "test.other  a" in table.replace("   ", "  ")
    assert (gone.returncode, again.returncode) == (2, 2)
    assert gone.stderr == "eyas: There is no key 'a' in the namespace 'test.other'\n"


def test_namespace_files_are_put_listed_read_and_deleted(daemon: Daemon, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"\x00\xff content")
    daemon("files", "put", tmp_path / "a.bin", "test.verbs/lib/a.bin")

    (listed,) = daemon.json("files", "--namespace", "test.verbs")
    daemon("files", "get", "test.verbs/lib/a.bin", tmp_path / "by-path")
    daemon("files", "get", listed["uri"], tmp_path / "by-uri")
    daemon("files", "delete", "test.verbs/lib/a.bin")
    gone = daemon.eyas("files", "get", "test.verbs/lib/a.bin")

    assert (listed["uri"], listed["size"]) == ("kestra:///test/verbs/_files/lib/a.bin", 10)
    assert (tmp_path / "by-path").read_bytes() == b"\x00\xff content"
    assert (tmp_path / "by-uri").read_bytes() == b"\x00\xff content"
    assert gone.returncode == 2
    assert "lib/a.bin" in gone.stderr


def test_files_of_an_execution_are_listed_and_read_by_their_uri(daemon: Daemon) -> None:
    talk = daemon.ended("talk")

    (listed,) = daemon.json("files", "--execution", talk)

    assert listed["uri"].endswith("-made.txt")
    assert daemon("files", "get", listed["uri"]) == "content"


@pytest.mark.parametrize("path", ["../../state.db", "test.verbs/../../../state.db", "nofolder"])
def test_a_path_that_leads_elsewhere_is_refused(daemon: Daemon, path: str) -> None:
    ended = daemon.eyas("files", "get", path)

    assert ended.returncode == 2
    assert ended.stderr.startswith("eyas: ")


def test_a_wrong_word_after_a_family_is_answered_with_a_near_one(daemon: Daemon) -> None:
    ended = daemon.eyas("kv", "gte", "a", "b")

    assert ended.returncode == 2
    assert "Did you mean 'get'?" in ended.stderr
