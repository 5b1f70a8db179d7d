"""What an expression sees: its variables, and the services that reach outside the template."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

from runner.errors import RenderFailed
from runner.expr.faults import Fault, LimitFault
from runner.expr.limits import MAX_ROUNDS, Budget
from runner.expr.text import string_form
from runner.expr.values import class_name, is_text

if TYPE_CHECKING:
    import random

    from runner.expr.nodes import Template


class Services:
    """What functions such as `secret()` and `read()` need from outside.

    A subclass overrides what it can serve; every default raises `RenderFailed` and says that the
    function is not available here. All methods are synchronous. `namespace` is None where the
    template names none: the flow's own is meant. A `RenderFailed` raised in a method becomes the
    message of the expression's error.
    """

    target = "1.2"
    """The Kestra version to agree with."""

    def secret(self, key: str, namespace: str | None) -> str:
        """Give the secret `key`, as text. It is reported to `on_secret` by the caller."""
        raise RenderFailed(f"Cannot find secret for key '{key}'.")

    def on_secret(self, value: str) -> None:
        """Take note of a secret's text that was handed out, so that logs mask it."""

    def kv(self, key: str, namespace: str | None) -> object:
        """Give the value stored under `key`; `LookupError` when there is none or it has expired.

        Without a namespace the flow's own and then its parents are searched, otherwise only the
        one that is named.
        """
        raise LookupError(key)

    def read(self, path: str, namespace: str | None) -> str:
        """Give the content of a file: a `kestra:///` URI or the path of a namespace file."""
        raise RenderFailed(f"Unable to read the file '{path}': there are no files here")

    def file_size(self, path: str, namespace: str | None) -> int:
        """Give the size in bytes of a file (paths as in `read`)."""
        raise RenderFailed(f"Unable to read the file '{path}': there are no files here")

    def file_exists(self, path: str, namespace: str | None) -> bool:
        """Tell whether a file exists (paths as in `read`)."""
        raise RenderFailed(f"Unable to look for the file '{path}': there are no files here")

    def error_logs(self) -> Sequence[Mapping[str, object]]:
        """Give the ERROR log entries of this execution, waiting up to 5 s for the first."""
        raise RenderFailed("The 'errorLogs' function can only be used while an execution runs.")

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
        """Send an HTTP request and give the body of a 2xx response, as text."""
        raise RenderFailed(
            "The 'http' function is switched off here.",
            hint="expressions reach no network: take a task of type "
            "io.kestra.plugin.core.http.Request, and `outputs` of it",
        )

    def env(self, name: str) -> str | None:
        """Give an environment variable that templates may read (`env()`), or None."""
        return None

    def now(self) -> datetime:
        """Give the current time, aware."""
        return datetime.now(UTC)

    def time_zone(self) -> str:
        """Give the id of the zone that dates are shown in when a template names none."""
        return "UTC"

    def locale(self) -> str:
        """Give the locale of dates when a template names none."""
        return "en_US"

    def random(self) -> random.Random:
        """Give the source of random numbers."""
        import random

        return random.SystemRandom()

    def warn(self, message: str) -> None:
        """Take note of something a user should know, such as a function that Kestra 1.2 lacks."""


class Scope:
    """The variables and services that templates are rendered with. It does not change."""

    __slots__ = ("services", "variables")

    def __init__(
        self, variables: Mapping[str, object] | None = None, services: Services | None = None
    ) -> None:
        self.variables: Mapping[str, object] = {} if variables is None else variables
        self.services = Services() if services is None else services

    def with_variables(self, **more: object) -> Scope:
        """Give a scope that has `more` variables, over those of this one."""
        return Scope(Layered([more], self.variables), self.services)


class Layered(Mapping[str, object]):
    """Variables of loops and `set` over those of the scope, without copying either."""

    __slots__ = ("_below", "_frames")

    def __init__(self, frames: Sequence[Mapping[str, object]], below: Mapping[str, object]) -> None:
        self._frames = tuple(frames)
        self._below = below

    def __getitem__(self, name: str) -> object:
        for frame in reversed(self._frames):
            if name in frame:
                return frame[name]
        return self._below[name]

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name for part in (self._below, *self._frames) for name in part))

    def __len__(self) -> int:
        return len(list(iter(self)))


class Context:
    """The state of one rendering: variables by frame, what is left of the limits, the template."""

    __slots__ = ("budget", "frames", "services", "template", "variables")

    def __init__(self, scope: Scope, template: Template, budget: Budget) -> None:
        self.variables = scope.variables
        self.services = scope.services
        self.frames: list[dict[str, object]] = []
        self.template = template
        self.budget = budget

    def lookup(self, name: str) -> object:
        """Give the variable `name`; `KeyError` when there is none."""
        for frame in reversed(self.frames):
            if name in frame:
                return frame[name]
        return self.variables[name]

    def get(self, name: str) -> object:
        """Give the variable `name`, or None."""
        try:
            return self.lookup(name)
        except KeyError:
            return None

    def assign(self, name: str, value: object) -> None:
        """Write to the nearest frame that has `name`, otherwise to the current one.

        The variables of the scope are never written to: the lowest frame lies over them.
        """
        for frame in reversed(self.frames):
            if name in frame:
                frame[name] = value
                return
        if not self.frames:
            self.frames.append({})
        self.frames[0 if name in self.variables else -1][name] = value

    def visible(self) -> Mapping[str, object]:
        """Give all variables as one map."""
        return Layered([dict(frame) for frame in self.frames], self.variables)

    def flow(self, field: str) -> str | None:
        """Give `flow.<field>` when it is text."""
        flow = self.get("flow")
        value = cast("Mapping[str, object]", flow).get(field) if isinstance(flow, Mapping) else None
        return value if isinstance(value, str) else None

    def subscope(self) -> Scope:
        """Give the scope that `render()` renders in."""
        return Scope(self.visible() if self.frames else self.variables, self.services)

    def enter_render(self) -> None:
        """Count a `render()` inside a template that is itself being rendered."""
        self.budget.depth += 1
        if self.budget.depth > MAX_ROUNDS:
            raise LimitFault("Too many rendering attempts")


_LARGEST = 2**31 - 1


class Arguments:
    """The arguments of a filter, function or test, by name; each read tells what is wrong with it.

    `called` is how messages name the thing: `The 'split' filter`.
    """

    __slots__ = ("called", "context", "values")

    def __init__(self, called: str, values: Mapping[str, object], context: Context) -> None:
        self.called = called
        self.values = values
        self.context = context

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def get(self, name: str) -> object:
        """Give the argument, or None when it is absent."""
        return self.values.get(name)

    def text(self, name: str) -> str | None:
        """Give a string argument, or None when it is absent or null."""
        value = self.values.get(name)
        if value is None or is_text(value):
            return value
        raise Fault(
            f"{self.called} expects a string as argument '{name}', not {class_name(value)}."
        )

    def needed_text(self, name: str) -> str:
        """Give a string argument that must not be absent or null."""
        value = self.text(name)
        if value is None:
            raise Fault(f"{self.called} expects an argument '{name}'.")
        return value

    def integer(self, name: str) -> int | None:
        """Give an integer argument within 32 bits, or None when it is absent or null."""
        value = self.values.get(name)
        if value is None:
            return None
        if isinstance(value, (int, float)) and not isinstance(value, bool) and value == value:
            return int(max(min(value, _LARGEST), -_LARGEST))
        raise Fault(
            f"{self.called} expects a number as argument '{name}', not {class_name(value)}."
        )

    def long(self, name: str) -> int | None:
        """Give an argument that is a `Long`; None when it is absent or null.

        Kestra takes nothing else here: literals are one and what is made of them, while an
        integer out of data is an `Integer`.
        """
        value = self.values.get(name)
        if value is None:
            return None
        if isinstance(value, int) and class_name(value) == "java.lang.Long":
            return int(max(min(value, _LARGEST), -_LARGEST))
        hint = ""
        if isinstance(value, int) and not isinstance(value, bool):
            hint = "a number out of data becomes one when it is multiplied: `x * 1`"
        raise Fault(
            f"{self.called} expects a number like 5 as argument '{name}', not the "
            f"{class_name(value)} {string_form(value, self.context.budget)[:60]}.",
            hint=hint,
        )

    def boolean(self, name: str, default: bool) -> bool:
        """Give a boolean argument, or `default` when it is absent or null."""
        value = self.values.get(name)
        if value is None:
            return default
        if isinstance(value, bool):
            return value
        raise Fault(f"{self.called} expects a boolean as argument '{name}'.")

    def mapping(self, name: str) -> Mapping[str, object]:
        """Give a map argument; absent or null is an empty one."""
        value = self.values.get(name)
        if value is None:
            return {}
        if isinstance(value, Mapping):
            return cast("Mapping[str, object]", value)
        raise Fault(f"{self.called} expects a map as argument '{name}'.")
