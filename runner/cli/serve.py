"""`eyas serve`: the daemon."""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import cast

import click

EXIT_DATA, EXIT_UNAVAILABLE, EXIT_IN_USE, EXIT_IO, EXIT_CONFIG = 65, 69, 73, 74, 78
"""Exit statuses of the daemon, as `sysexits.h` has them: systemd units tell them apart."""


@click.command(name="serve")
@click.argument("flows_dir", metavar="[FLOWS_DIR]", required=False, type=click.Path(path_type=Path))
@click.option("--host", default=None, help="Address to listen on.  [default: 127.0.0.1]")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=None, help="Port to listen on. [default: 8080]"
)
@click.option("--state-dir", type=click.Path(path_type=Path), default=None, help="Where state is.")
@click.option("--read-only", is_flag=True, default=None, help="Refuse changes through the API.")
def serve_command(
    flows_dir: Path | None,
    host: str | None,
    port: int | None,
    state_dir: Path | None,
    read_only: bool | None,
) -> None:
    """Watch FLOWS_DIR, run its flows, and answer Kestra's API.

    Without FLOWS_DIR the flows are in the folder `flows` of the state folder. SIGTERM stops in
    order: what runs may end first.
    """
    gc.disable()  # until all is loaded: there is nothing to collect, and it takes a while
    _without_rich()
    import anyio

    from runner.daemon import PortInUse, StateInUse, serve
    from runner.errors import SettingInvalid
    from runner.failpoints import VARIABLE, arm
    from runner.settings import load_settings
    from runner.store.database import StoreUnusable, StoreUnwritable

    settings = load_settings(state_dir=state_dir, host=host, port=port, read_only=read_only)
    folder = _folder(flows_dir, settings.state_dir)
    _configure_log()
    try:
        arm(settings.environ.get(VARIABLE, ""))
        anyio.run(serve, settings, folder)
    except SettingInvalid as error:
        _give_up(str(error), EXIT_CONFIG)
    except StoreUnusable as error:
        _give_up(str(error), EXIT_DATA)
    except StoreUnwritable as error:
        _give_up(str(error), EXIT_IO)
    except StateInUse as error:
        _give_up(str(error), EXIT_IN_USE)
    except PortInUse as error:
        _give_up(str(error), EXIT_UNAVAILABLE)


def _folder(given: Path | None, state_dir: Path) -> Path:
    if given is None:
        folder = state_dir / "flows"
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    if not given.is_dir():
        _give_up(f"There is no folder '{given}': make it, or name the one with your flows", 2)
    return given


def _give_up(message: str, status: int) -> None:
    click.echo(f"eyas: {message}", err=True)
    sys.exit(status)


def _without_rich() -> None:
    """Keep structlog from importing rich, which takes 35 ms and 3 MB and is never used here.

    Its tracebacks would show the values of variables, secrets among them.
    """
    modules = cast("dict[str, object]", sys.modules)
    modules["rich"] = None  # what Python itself takes for "there is none"


def _configure_log() -> None:
    """Our own log to stderr: for people on a terminal, else one JSON object a line."""
    import structlog

    tail = (
        [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
        if sys.stderr.isatty()
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *tail,
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
