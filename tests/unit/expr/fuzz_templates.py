"""Random templates: whatever they are, nothing but our own errors comes out.

    python tests/unit/expr/fuzz_templates.py [--count 100000] [--seed N]

A template is put together from pieces of the language, or a good one is damaged. The suite runs
a smaller number of them (test_expression_fuzz.py). Exit status 1 and the template on a crash.
"""

from __future__ import annotations

import argparse
import random
import sys
import traceback
from collections.abc import Callable
from datetime import date
from time import perf_counter

from expression_cases import FixedServices

from runner.errors import RenderFailed
from runner.expr import Scope, render, render_typed, render_value
from runner.expr.registry import Member, find, names
from runner.expr.values import Instant, LocalDateTime

Random = random.Random

VARIABLES: dict[str, object] = {
    "s": "text, with 1 é",
    "e": "",
    "n": 5,
    "f": 2.5,
    "b": True,
    "z": None,
    "l": [3, 1, 2, None, "a"],
    "m": {"a": 1, "b": {"c": [1, {"d": None}]}, "x y": "z"},
    "j": '{"a": [1, 2.0, null]}',
    "i": Instant(1_709_618_828_123_456_789),
    "w": LocalDateTime(date(2024, 2, 29), 7 * 10**9),
    "d": "2024-03-05T06:07:08Z",
    "t": "{{ n }}{{ l[0] }}",
    "big": 10**40,
    "nan": float("nan"),
    "inf": float("inf"),
    "tasks": {"a": {"state": "FAILED"}, "b": {"1": {"state": "SUCCESS"}}},
    "flow": {"id": "f", "namespace": "a.b"},
    "outputs": {"t": {"1": {"value": 1}}},
    "taskrun": {"value": "1"},
    "parents": [],
}
TEXTS = [
    "",
    "a",
    ",",
    "\\.",
    "(a+)+$",
    "[",
    "yyyy-MM-dd",
    "dd/MM/yyyy HH:mm",
    "#,##0.00",
    "0.##E0",
    ".a[]?",
    "map(.+1)",
    ".. |= .",
    "UTC",
    "Europe/Paris",
    "DAYS",
    "iso",
    "fr_FR",
    "shell",
    "{{ n }}",
    "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
    "12",
    "1.5e3",
    "0x1F",
    "😀é",
    "{a:1,b:[x, 2e0]}",
    "k: [1, two]",
]
OPERATORS = (
    "+ - * / % ~ == != < > <= >= and or contains isIn ?? ??? .. equals".split()  # noqa: SIM905
)
ATTRIBUTES = ["a", "b", "c", "key", "value", "length", "size", "index", "__class__", "items"]
METHODS = ["size()", "length()", "isEmpty()", "get('a')", "trim()", "indexOf('t')", "keySet()"]
DAMAGE = ["{{", "}}", "{%", "%}", "'", '"', "(", ")", "[", "]", "{", "|", "\\", "#{", "-", "\x00"]


class Generator:
    """Makes templates; the same seed makes the same ones."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.members: dict[str, list[Member]] = {
            kind: [member for name in names(kind) if (member := find(kind, name)) is not None]
            for kind in ("filter", "function", "test")
        }

    def template(self) -> str:
        """One template: a lone short expression, or islands and text; one in five is damaged."""
        if self.random.random() < 0.6:
            return f"{{{{ {self.expression(self.random.randint(1, 2))} }}}}"
        parts = [self.part(3) for _ in range(self.random.randint(1, 4))]
        text = "".join(parts)
        if self.random.random() < 0.2:
            for _ in range(self.random.randint(1, 3)):
                place = self.random.randint(0, len(text))
                cut = self.random.randint(0, 4)
                text = text[:place] + self.random.choice(DAMAGE) + text[place + cut :]
        return text

    def part(self, depth: int) -> str:
        """Text, a print or a tag."""
        choice = self.random.random()
        if choice < 0.15:
            return self.random.choice(
                ["text ", "{ ", "\n", "}} ", "{# c #}", "{% raw %}{{{% endraw %}"]
            )
        if choice < 0.75 or depth < 1:
            return f"{{{{{self.trim()}{self.expression(3)} {self.trim()}}}}}".replace("--", "-")
        inner = self.part(depth - 1)
        return self.random.choice(
            [
                f"{{% if {self.expression(2)} %}}{inner}{{% else %}}x{{% endif %}}",
                f"{{% for v in {self.expression(2)} %}}{inner}{{{{ loop.index }}}}{{% endfor %}}",
                f"{{% set v = {self.expression(2)} %}}{inner}",
                f"{{% filter {self.call('filter', 1)} %}}{inner}{{% endfilter %}}",
                f"{{% macro q(p=1) %}}{inner}{{% endmacro %}}{{{{ q({self.expression(1)}) }}}}",
                f"{{% block k %}}{inner}{{% endblock %}}{{{{ block('k') }}}}",
            ]
        )

    def trim(self) -> str:
        """A dash, now and then."""
        return self.random.choice(["", "", "", "- "])

    def expression(self, depth: int) -> str:
        """One expression."""
        kinds: list[Callable[[int], str]] = [self.primary]
        if depth > 0:
            kinds += [self.filtered] * 4 + [self.joined] * 3 + [self.structure, self.choice]
            kinds += [self.tested, self.called, self.called, self.accessed, self.accessed]
        return self.random.choice(kinds)(depth)

    def primary(self, _: int) -> str:
        """A literal or a variable."""
        choice = self.random.random()
        if choice < 0.45:
            return self.random.choice(list(VARIABLES))
        if choice < 0.75:
            return f"'{self.random.choice(TEXTS)}'"
        return self.random.choice(["0", "1", "-1", "2.5", "7L", "true", "null", "[]", "{}", "gone"])

    def filtered(self, depth: int) -> str:
        """An expression through a filter."""
        return f"({self.expression(depth - 1)}) | {self.call('filter', depth - 1)}"

    def called(self, depth: int) -> str:
        """A call of a function."""
        return self.call("function", depth - 1, always=True)

    def call(self, kind: str, depth: int, *, always: bool = False) -> str:
        """A name with arguments, most of them as many as it takes."""
        member = self.random.choice(self.members[kind])
        wanted = member.arguments or ()
        count = self.random.randint(0, len(wanted) + (1 if self.random.random() < 0.1 else 0))
        if member.arguments is None:
            count = self.random.choice([0, 0, 0, 2])
        arguments = [self.expression(min(depth, 1)) for _ in range(count)]
        if arguments and wanted and self.random.random() < 0.2:
            arguments[-1] = f"{self.random.choice(wanted)}={arguments[-1]}"
        return f"{member.name}({', '.join(arguments)})" if arguments or always else member.name

    def joined(self, depth: int) -> str:
        """Two expressions and an operator."""
        operator = self.random.choice(OPERATORS)
        return f"{self.expression(depth - 1)} {operator} ({self.expression(depth - 1)})"

    def tested(self, depth: int) -> str:
        """A test."""
        member = self.random.choice(self.members["test"])
        negated = self.random.choice(["", " not"])
        return f"({self.expression(depth - 1)} is{negated} {member.name})"

    def structure(self, depth: int) -> str:
        """A list, a map, or a string with something inserted."""
        one, other = self.expression(depth - 1), self.expression(depth - 1)
        return self.random.choice(
            [f"[{one}, {other}]", f"{{{one}: {other}}}", f'"a#{{{one}}}b"', f"not ({one})"]
        )

    def choice(self, depth: int) -> str:
        """A ternary."""
        one, two = self.expression(depth - 1), self.expression(depth - 1)
        return f"({self.expression(depth - 1)} ? {one} : {two})"

    def accessed(self, depth: int) -> str:
        """An attribute, an item or a method of something."""
        holder = self.random.choice(["m", "l", "s", "m.b", f"({self.expression(depth - 1)})"])
        return self.random.choice(
            [
                f"{holder}.{self.random.choice(ATTRIBUTES)}",
                f"{holder}[{self.expression(depth - 1)}]",
                f"{holder}.{self.random.choice(METHODS)}",
            ]
        )


def run(count: int, seed: int) -> tuple[int, int]:
    """Render so many templates; give how many rendered and how many failed with our error.

    Raises:
        AssertionError: anything else came out; it names the template.
    """
    generator = Generator(seed)
    scope = Scope(VARIABLES, FixedServices())
    rendered = failed = 0
    for number in range(count):
        template = generator.template()
        try:
            if number % 3 == 0:
                render_typed(template, scope)
            elif number % 3 == 1:
                render_value({template: [template]}, scope, recursive=True)
            else:
                render(template, scope)
            rendered += 1
        except RenderFailed:
            failed += 1
        except Exception as error:
            raise AssertionError(f"{error!r} out of {template!r} (seed {seed})") from error
    return rendered, failed


def main() -> int:
    """Run the fuzzer as a command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    options = parser.parse_args()
    begin = perf_counter()
    try:
        rendered, failed = run(options.count, options.seed)
    except AssertionError:
        traceback.print_exc()
        return 1
    took = perf_counter() - begin
    sys.stdout.write(
        f"{options.count} templates in {took:.0f} s (seed {options.seed}): "
        f"{rendered} rendered, {failed} failed with an error of ours\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
