"""A record is what the frozen data class with slots of the same text is."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, asdict, dataclass, field, fields, replace
from inspect import signature
from typing import Any

import pytest

from runner.records import record


@dataclass(frozen=True, slots=True)
class Pair:
    """Plain."""

    left: int
    right: list[int] = field(default_factory=list[int])


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """By name."""

    self_: str = "x"
    shown: int
    hidden: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Itself:
    one: int = 1


@record
class RecordPair:
    """Plain."""

    left: int
    right: list[int] = field(default_factory=list[int])


@record(kw_only=True)
class RecordNamed:
    """By name."""

    self_: str = "x"
    shown: int
    hidden: str | None = field(default=None, repr=False)


@record(eq=False)
class RecordItself:
    one: int = 1


@record
class Nothing:
    """No values at all."""


CASES: list[tuple[type[Any], type[Any], tuple[Any, ...], dict[str, Any]]] = [
    (Pair, RecordPair, (1,), {}),
    (Pair, RecordPair, (1, [2]), {}),
    (Pair, RecordPair, (), {"right": [], "left": 3}),
    (Named, RecordNamed, (), {"shown": 1}),
    (Named, RecordNamed, (), {"shown": 1, "self_": "y", "hidden": "secret"}),
    (Itself, RecordItself, (), {}),
    (Itself, RecordItself, (2,), {}),
]


@pytest.mark.parametrize(("plain", "ours", "args", "named"), CASES)
def test_a_record_has_the_values_the_text_and_the_fields_of_a_data_class(
    plain: type[Any], ours: type[Any], args: tuple[Any, ...], named: dict[str, Any]
) -> None:
    expected = plain(*args, **named)
    # The first ones are made in another way than those after them.
    first, *_, made = [ours(*args, **named) for _ in range(100)]

    assert asdict(first) == asdict(expected)
    assert asdict(made) == asdict(expected)
    assert repr(made) == f"Record{expected!r}"
    assert [(each.name, each.type) for each in fields(made)] == [
        (each.name, each.type) for each in fields(expected)
    ]
    assert ours.__match_args__ == plain.__match_args__
    assert not hasattr(made, "__dict__")


@pytest.mark.parametrize("ours", [RecordPair, RecordNamed, RecordItself])
def test_wrong_arguments_are_refused_by_the_first_call_and_by_later_ones(ours: type[Any]) -> None:
    for _ in range(2):
        with pytest.raises(TypeError, match=r"__init__\(\) got an unexpected keyword"):
            ours(unknown=1)


def test_arguments_that_are_missing_or_too_many_are_refused() -> None:
    @record
    class Fresh:
        one: int
        two: int = 2

    with pytest.raises(TypeError, match="multiple values for argument 'one'"):
        Fresh(1, one=1)  # type: ignore[misc]
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'one'"):
        Fresh(two=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="takes from 2 to 3 positional arguments but 4 were"):
        Fresh(1, 2, 3)  # type: ignore[call-arg]


def test_parameters_have_the_names_and_defaults_of_the_fields() -> None:
    for _ in range(100):
        RecordNamed(shown=1)

    assert str(signature(RecordNamed)) == "(*, self_='x', shown, hidden=None)"
    with pytest.raises(TypeError, match="1 positional argument but 2 were given"):
        RecordNamed(1)  # type: ignore[call-arg]


def test_a_default_that_is_made_is_made_for_each() -> None:
    assert RecordPair(1).right is not RecordPair(1).right


def test_records_with_the_same_values_are_equal_and_have_the_same_hash() -> None:
    first, second = RecordNamed(shown=1), RecordNamed(shown=1)

    assert first == second
    assert hash(first) == hash(second)
    assert first != replace(first, hidden="x")
    assert first != Named(shown=1)
    assert RecordPair(1) != (1, [])
    assert (Nothing() == Nothing(), hash(Nothing()) == hash(Nothing())) == (True, True)


def test_without_eq_a_record_equals_only_itself() -> None:
    one = RecordItself()

    assert (one == one, one == RecordItself(), len({one, RecordItself()})) == (True, False, 2)


def test_a_record_does_not_change() -> None:
    pair = RecordPair(1)

    with pytest.raises(FrozenInstanceError, match="cannot assign to field 'left'"):
        pair.left = 2  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError, match="cannot delete field 'left'"):
        del pair.left  # type: ignore[misc]
    assert replace(pair, left=2) == RecordPair(2)


def test_a_record_that_is_not_frozen_changes_and_has_no_hash() -> None:
    @record(frozen=False)
    class Changing:
        one: int

    changing = Changing(1)
    changing.one = 2

    assert changing == Changing(2)
    with pytest.raises(TypeError, match="unhashable"):
        hash(changing)
