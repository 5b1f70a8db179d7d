"""Messages to systemd: that the daemon is ready, that it stops, and that it is not stuck."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

import anyio
import structlog

log = structlog.get_logger()


def notify(state: str, environ: Mapping[str, str]) -> None:
    """Tell systemd `state`, if it started us and wants to know (`Type=notify`).

    It is never waited for; a message that cannot be sent is a warning in the log.
    """
    address = environ.get("NOTIFY_SOCKET")
    if not address:
        return
    target = f"\0{address[1:]}" if address.startswith("@") else address
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.setblocking(False)
            sender.sendto(state.encode(), target)
    except OSError as error:
        log.warning("systemd.not_told", state=state, error=str(error))


async def keep_watchdog(environ: Mapping[str, str]) -> None:
    """Tell systemd again and again that we are alive, until cancelled; see `WatchdogSec=`.

    The messages come from the event loop: when it is stuck they stay away, and systemd starts the
    daemon anew. Returns at once if nobody wants them.
    """
    interval_s = watchdog_interval_s(environ)
    while interval_s is not None:
        notify("WATCHDOG=1", environ)
        await anyio.sleep(interval_s)


def watchdog_interval_s(environ: Mapping[str, str]) -> float | None:
    """Seconds from one message to the next, half of what systemd allows; None: it wants none."""
    limit = environ.get("WATCHDOG_USEC", "")
    # The variables are inherited; this one says whose they are.
    meant = environ.get("WATCHDOG_PID") or str(os.getpid())
    if not limit.isascii() or not limit.isdigit() or int(limit) == 0 or meant != str(os.getpid()):
        return None
    return int(limit) / 2 / 1_000_000
