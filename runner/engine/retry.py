"""When a failed task is tried again (flow-model 3.6)."""

from __future__ import annotations

from datetime import datetime, timedelta

from runner.model.execution import Execution
from runner.model.flow import Retry


def delay(policy: Retry, attempts: int) -> timedelta:
    """The wait after `attempts` attempts, the last of which failed.

    The exponential one is linear and its first retry immediate, as Kestra's.
    """
    if policy.type == "constant":
        return policy.interval
    if policy.type == "exponential":
        return min(
            policy.max_interval, policy.interval * (int(policy.delay_factor) * (attempts - 1))
        )
    least, most = policy.min_interval, policy.max_interval
    from random import random

    return least + (most - least) * random()


def next_try(
    policy: Retry, attempts: int, ended: datetime, first_started: datetime
) -> datetime | None:
    """When to try again; None if the policy's limits are used up."""
    if policy.max_attempts is not None and attempts >= policy.max_attempts:
        return None
    date = ended + delay(policy, attempts)
    if policy.max_duration is not None and date > first_started + policy.max_duration:
        return None
    return date


def next_execution(policy: Retry, execution: Execution, ended: datetime) -> datetime | None:
    """When to repeat an execution as a new one; None if the policy's limits are used up."""
    if policy.max_attempts is not None and execution.attempt_number >= policy.max_attempts:
        return None
    date = ended + delay(policy, execution.attempt_number)
    first = execution.original_created or execution.history.start
    if policy.max_duration is not None and date > first + policy.max_duration:
        return None
    return date
