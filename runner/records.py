"""Records: data classes with slots that are cheap to define.

`@dataclass(frozen=True, slots=True)` compiles up to seven methods for each class when its module is
imported, 0.6 ms a class. Starting a run took a third of its time for methods of some sixty classes,
most of which no run uses. A record is such a data class whose methods are shared. The one that is
worth compiling is `__init__`, for a class of which many records are made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, Field, FrozenInstanceError, dataclass, field, fields
from operator import attrgetter
from typing import Any, NoReturn, TypeVar, dataclass_transform, overload

_T = TypeVar("_T")

_MANY = 20
"""Making so many records of a class in the slow way takes as long as compiling the fast one."""


@overload
def record(cls: type[_T], /) -> type[_T]: ...
@overload
def record(
    *, kw_only: bool = False, eq: bool = True, frozen: bool = True
) -> Callable[[type[_T]], type[_T]]: ...


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record(
    cls: type[_T] | None = None, /, *, kw_only: bool = False, eq: bool = True, frozen: bool = True
) -> type[_T] | Callable[[type[_T]], type[_T]]:
    """Make a data class with slots; the functions of `dataclasses` work with it.

    Args:
        cls: The class to make one of.
        kw_only: Whether values are given by name only.
        eq: Whether records with the same values are equal, or only a record and itself.
        frozen: Whether its values never change.
    """

    def made(cls: type[_T]) -> type[_T]:
        # Else a signature is taken apart to have a text.
        cls.__doc__ = cls.__doc__ or cls.__name__
        slotted = dataclass(init=False, repr=False, eq=False, slots=True, kw_only=kw_only)(cls)
        for name, method in _methods(slotted, eq, frozen).items():
            if name not in vars(slotted):
                setattr(slotted, name, method)
        return slotted

    return made if cls is None else made(cls)


def _methods(cls: type[Any], eq: bool, frozen: bool) -> dict[str, Any]:
    """The methods of records of this class."""
    known = fields(cls)
    names = [each.name for each in known]
    values: Callable[[object], object] = attrgetter(*names) if names else lambda _: ()
    made = 0

    def __init__(self: object, *args: object, **kwargs: object) -> None:
        nonlocal made
        made += 1
        if made > _MANY or not _fill(self, known, args, kwargs):
            cls.__init__ = _compiled_init(cls)
            cls.__init__(self, *args, **kwargs)

    def __eq__(self: object, other: object) -> bool:
        return values(self) == values(other) if type(other) is type(self) else NotImplemented

    def __hash__(self: object) -> int:
        return hash(values(self))

    methods: dict[str, Any] = {"__init__": __init__, "__repr__": __repr__}
    if frozen:
        methods |= {"__setattr__": __setattr__, "__delattr__": __delattr__}
    if eq:
        methods |= {"__eq__": __eq__, "__hash__": __hash__ if frozen else None}
    return methods


def _fill(
    self: object,
    known: tuple[Field[Any], ...],
    args: tuple[object, ...],
    kwargs: dict[str, object],
) -> bool:
    """Put the values into the slots; False, with nothing said, if they are not the right ones."""
    positional = [each.name for each in known if not each.kw_only]
    given = {**dict(zip(positional, args, strict=False)), **kwargs}
    if len(given) != len(args) + len(kwargs):
        return False
    for each in known:
        value = given.pop(each.name, each.default)
        if value is MISSING:
            if each.default_factory is MISSING:
                return False
            value = each.default_factory()
        object.__setattr__(self, each.name, value)
    return not given


def _compiled_init(cls: type[Any]) -> Callable[..., None]:
    """A function that does the same at once, and says what is wrong with its arguments."""
    known: dict[str, object] = {"MISSING": MISSING}
    given: list[str] = []
    named: list[str] = []
    lines: list[str] = []
    for each in fields(cls):
        name = value = each.name
        known[f"_put_{name}"] = getattr(cls, name).__set__
        default = ""
        if each.default is not MISSING:
            known[f"_default_{name}"] = each.default
            default = f"=_default_{name}"
        elif each.default_factory is not MISSING:
            known[f"_new_{name}"] = each.default_factory
            default = "=MISSING"
            value = f"_new_{name}() if {name} is MISSING else {name}"
        (named if each.kw_only else given).append(name + default)
        lines.append(f"    _put_{name}(self, {value})")
    head = ", ".join(["self", *given, *(["*", *named] if named else [])])
    exec(f"def __init__({head}):\n" + "\n".join(lines or ["    pass"]), known)
    init: Callable[..., None] = known["__init__"]  # type: ignore[assignment]
    return init


def __repr__(self: Any) -> str:
    """Say the class and the values, but those that are not to be shown."""
    shown = ", ".join(f"{f.name}={getattr(self, f.name)!r}" for f in fields(self) if f.repr)
    return f"{type(self).__qualname__}({shown})"


def __setattr__(self: object, name: str, value: object) -> NoReturn:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def __delattr__(self: object, name: str) -> NoReturn:
    raise FrozenInstanceError(f"cannot delete field {name!r}")
