"""The expression language of Kestra flows: templates with `{{ }}`, `{% %}` and `{# #}`."""

from runner.expr.context import Scope, Services
from runner.expr.jsontext import to_json
from runner.expr.render import is_truthy, render, render_typed, render_value, uses
from runner.expr.text import to_text

__all__ = [
    "Scope",
    "Services",
    "is_truthy",
    "render",
    "render_typed",
    "render_value",
    "to_json",
    "to_text",
    "uses",
]
