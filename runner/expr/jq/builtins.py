"""All functions that jq programs have: those that Kestra's jq has, and no others."""

from runner.expr.jq import containers, matching, places, scalars, streams
from runner.expr.jq.natives import NATIVE, NATIVE_PATHS

__all__ = ["NATIVE", "NATIVE_PATHS", "containers", "matching", "places", "scalars", "streams"]
