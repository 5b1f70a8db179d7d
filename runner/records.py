"""Records: classes of facts that never change, cheap to define.

`@dataclass(frozen=True, slots=True)` compiles up to seven methods for each class when its module is
imported, 0.6 ms a class. Starting a run took a third of its time for methods of some sixty classes,
most of which are not used by any one run. A record is such a data class whose methods are shared;
the one that is worth compiling, `__init__`, is compiled when the first record of its class is made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, FrozenInstanceError, dataclass, field, fields
from operator import attrgetter
from typing import Any, NoReturn, TypeVar, dataclass_transform, overload

_T = TypeVar("_T")


@overload
def record(cls: type[_T], /) -> type[_T]: ...
@overload
def record(*, kw_only: bool = False, eq: bool = True) -> Callable[[type[_T]], type[_T]]: ...


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record(
    cls: type[_T] | None = None, /, *, kw_only: bool = False, eq: bool = True
) -> type[_T] | Callable[[type[_T]], type[_T]]:
    """Make a frozen data class with slots; the functions of `dataclasses` work with it.

    Args:
        cls: The class to make one of.
        kw_only: Whether values are given by name only.
        eq: Whether records with the same values are equal, or only a record and itself.
    """

    def made(cls: type[_T]) -> type[_T]:
        # Else a signature is taken apart to have a text.
        cls.__doc__ = cls.__doc__ or cls.__name__
        slotted = dataclass(init=False, repr=False, eq=False, slots=True, kw_only=kw_only)(cls)
        for method in _methods(slotted, eq):
            if method.__name__ not in vars(slotted):
                setattr(slotted, method.__name__, method)
        return slotted

    return made if cls is None else made(cls)


def _methods(cls: type[Any], eq: bool) -> list[Callable[..., Any]]:
    """The methods of records of this class."""
    names = [each.name for each in fields(cls)]
    values: Callable[[object], object] = attrgetter(*names) if names else lambda _: ()

    def __init__(self: object, *args: object, **kwargs: object) -> None:
        cls.__init__ = _compiled_init(cls)
        cls.__init__(self, *args, **kwargs)

    def __eq__(self: object, other: object) -> bool:
        return values(self) == values(other) if type(other) is type(self) else NotImplemented

    def __hash__(self: object) -> int:
        return hash(values(self))

    return [__init__, __repr__, __setattr__, __delattr__, *([__eq__, __hash__] if eq else [])]


def _compiled_init(cls: type[Any]) -> Callable[..., None]:
    """A function that puts the values of a record of this class into its slots."""
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
