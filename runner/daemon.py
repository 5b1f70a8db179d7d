"""The daemon: opens everything, serves until it is told to stop, and stops in order."""

from __future__ import annotations

import fcntl
import gc
import os
import secrets
import shutil
import signal
import socket
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain, repeat
from pathlib import Path

import anyio
import anyio.to_thread
import structlog
from aiohttp import web
from anyio.abc import TaskStatus

from runner.api.app import make_app
from runner.api.security import is_loopback
from runner.api.services import Services
from runner.engine.adoption import Leftovers
from runner.engine.cleanup import (
    ORPHAN_INTERVAL_S,
    ORPHAN_PAUSES_S,
    clear,
    end_processes,
    remove_orphans,
)
from runner.engine.engine import Engine
from runner.engine.retention import INTERVAL_S, keep_within
from runner.errors import RunnerError, SettingInvalid
from runner.loading.folder import Folder
from runner.loading.repository import Repository
from runner.model.execution import new_id
from runner.notify import keep_watchdog, notify
from runner.runners.registry import TaskRunners, instance_of
from runner.settings import TEMP_PREFIX, Settings
from runner.storage.files import Storage
from runner.storage.kv import KeyValues
from runner.store.database import StoreUnwritable
from runner.store.flow_texts import FlowTexts
from runner.store.sqlite import SqliteStore
from runner.store.triggers import SqliteTriggers
from runner.tasks.package_refresh import keep_fresh
from runner.triggers.host import DaemonHost
from runner.triggers.triggers import Triggers

log = structlog.get_logger()


RETENTION_DELAY_S = 60
"""After a start, what is kept is looked through only then."""


class StateInUse(RunnerError):
    """Another Eyas uses the state folder."""


class PortInUse(RunnerError):
    """The address cannot be listened on."""


async def serve(
    settings: Settings,
    flows_dir: Path,
    *,
    task_status: TaskStatus[int] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Run the flows of a folder and answer the API, until SIGTERM or SIGINT, or cancelled.

    `task_status` is told the port that is listened on, which for port 0 the system chose.

    Raises:
        SettingInvalid: it would listen where others can reach it, without credentials.
        StateInUse: another daemon has the state folder.
        StoreUnusable: the state folder's files are damaged or newer.
        StoreUnwritable: the state folder cannot be written.
        PortInUse: somebody else listens there.
    """
    check_exposure(settings)
    with state_lock(settings.state_dir), bound(settings) as listener:
        stop, port = anyio.Event(), listener.getsockname()[1]
        async with _opened(settings, flows_dir) as services, anyio.create_task_group() as group:
            group.start_soon(_stop_on_signal, stop)
            group.start_soon(_end_when_broken, services.store)
            group.start_soon(keep_watchdog, settings.environ)
            await group.start(services.triggers.run, name="triggers")
            recovered, leftovers = await _recover(services)
            group.start_soon(_follow_flows, services, name="flows of triggers")
            group.start_soon(services.folder.watch, name="watch flows")
            group.start_soon(_keep_within, services, name="retention")
            group.start_soon(_keep_packages_fresh, services, name="packages")
            address = f"http://{_authority(settings.host)}:{port}"
            async with _answering(services, listener):
                flows = sum(1 for _ in services.flows.all())
                log.info(
                    "daemon.ready",
                    address=address,
                    flows=flows,
                    recovered=len(recovered),
                )
                gc.freeze()
                gc.enable()
                group.start_soon(_clean_up, services, leftovers, name="clean up")
                with _published(settings.state_dir / "address", address):
                    notify("READY=1", settings.environ)
                    task_status.started(port)
                    await stop.wait()
                notify("STOPPING=1", settings.environ)
            # What still runs in containers goes on there; the next daemon follows it.
            services.engine.runners.handing_over = await _drain(services)
            services.store.give_up()
            group.cancel_scope.cancel()
    log.info("daemon.stopped")


async def _recover(services: Services) -> tuple[list[str], Leftovers]:
    """Go on with what an earlier daemon left: the executions, and what is to be removed now."""
    engine, folder = services.engine, services.settings.tmp_dir
    leftovers = await anyio.to_thread.run_sync(Leftovers.below, folder)
    if leftovers.folders:
        ended = await end_processes(folder)
        if ended:
            log.warning("daemon.processes_ended", count=ended)
    return await engine.recover(leftovers=leftovers), leftovers


async def _keep_packages_fresh(services: Services) -> None:
    """Renew packages without fixed versions when they become old, in nobody's way."""

    def tell(key: str, text: str) -> None:
        log.info("packages.refreshed", key=key, outcome=text)

    await keep_fresh(services.settings, services.engine.runners, tell)


async def _keep_within(services: Services) -> None:
    """Delete old executions from time to time."""
    while True:
        await anyio.sleep(RETENTION_DELAY_S)
        deleted = await keep_within(
            services.settings, services.store, services.storage, datetime.now(UTC)
        )
        if deleted:
            log.info("daemon.old_executions_deleted", count=deleted)
        await anyio.sleep(INTERVAL_S)


async def _clean_up(services: Services, leftovers: Leftovers) -> None:
    """Remove what an earlier daemon left, and from time to time containers that got lost."""
    runners, folder = services.engine.runners, services.settings.tmp_dir
    for problem in await clear(leftovers, runners):
        log.warning("daemon.left_behind", problem=problem)
    if services.settings.task_runner == "process":
        return
    for pause_s in chain(ORPHAN_PAUSES_S, repeat(ORPHAN_INTERVAL_S)):
        orphans = await remove_orphans(folder, runners)
        if orphans:
            log.warning("daemon.orphans_removed", containers=orphans)
        await anyio.sleep(pause_s)


@contextmanager
def _published(file: Path, address: str) -> Generator[None]:
    """Have the address of the API in a file for the command line, while it is answered there."""
    half = file.with_name(f"{file.name}.new")
    half.write_text(f"{address}\n")
    half.rename(file)
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def _authority(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def check_exposure(settings: Settings) -> None:
    """Refuse to listen where other machines can call, unless callers need credentials.

    Raises:
        SettingInvalid: there are none.
    """
    if not is_loopback(settings.host) and not (settings.api_token or settings.api_password):
        raise SettingInvalid(
            f"--host {settings.host} can be reached from other machines: set EYAS_API_TOKEN, or "
            "EYAS_API_USER and EYAS_API_PASSWORD, or listen on 127.0.0.1"
        )


@contextmanager
def state_lock(folder: Path) -> Generator[None]:
    """Own the state folder for a while; the kernel gives it up when the process ends.

    Raises:
        StateInUse: another process owns it.
        StoreUnwritable: it cannot be written.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreUnwritable(
            f"The state folder {folder} cannot be written: {error.strerror}"
        ) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.pread(handle, 100, 0).decode(errors="replace").strip()
            raise StateInUse(f"The state folder {folder} is in use by {owner}") from error
        os.ftruncate(handle, 0)
        try:
            os.pwrite(handle, f"pid {os.getpid()}\n".encode(), 0)
            os.fsync(handle)
        except OSError as error:
            raise StoreUnwritable(
                f"The state folder {folder} cannot be written: {error.strerror}"
            ) from error
        yield
    finally:
        os.close(handle)


@contextmanager
def bound(settings: Settings) -> Generator[socket.socket]:
    """A socket at the address to listen on; port 0 has the system choose one.

    Raises:
        PortInUse: it cannot be had.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((settings.host, settings.port))
            listener.listen(128)
        except OSError as error:
            where = f"{settings.host}:{settings.port}"
            raise PortInUse(f"Cannot listen on {where}: {error.strerror or error}") from error
        yield listener


@asynccontextmanager
async def _opened(settings: Settings, flows_dir: Path) -> AsyncGenerator[Services]:
    """Everything the API works with, opened in order and closed backwards."""
    instance_id = _kept(settings.state_dir / "instance", new_id())
    with work_dir(settings.tmp_dir, instance_id) as folder:
        async with _opened_in(
            replace(settings, tmp_dir=folder), flows_dir, instance_id
        ) as services:
            yield services
        if not services.engine.runners.handing_over:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def work_dir(parent: Path, instance_id: str) -> Generator[Path]:
    """A folder for the working directories of tasks, which is ours alone.

    What an earlier daemon left in it when it was killed is still there, unless the machine was
    started anew since: nothing that worked in it can go on then.
    """
    name = f"{TEMP_PREFIX}{instance_id}"
    folder = parent.absolute() / name / _boot_id()
    try:
        folder.parent.mkdir(mode=0o711, exist_ok=True)
        for other in folder.parent.iterdir():
            if other != folder:
                shutil.rmtree(other, ignore_errors=True)
        folder.mkdir(mode=0o711, exist_ok=True)
    except OSError as error:
        raise SettingInvalid(f"tmp_dir: {folder} cannot be made: {error.strerror}") from error
    try:
        yield folder
    finally:
        # Containers that were handed over still work in theirs.
        for path in (folder, folder.parent):
            with suppress(OSError):
                path.rmdir()


def _boot_id() -> str:
    """What this start of the machine is called; the same text where that is not known."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8]
    except OSError:
        return "boot"


@asynccontextmanager
async def _opened_in(
    settings: Settings, flows_dir: Path, instance_id: str
) -> AsyncGenerator[Services]:
    storage = Storage(settings.state_dir / "storage")
    await anyio.to_thread.run_sync(storage.sweep)
    async with await SqliteStore.open(settings.state_dir) as store:
        texts = FlowTexts(store.state)
        flows = Repository(texts, settings)
        folder = Folder(flows_dir, flows)
        await folder.scan()
        kv = KeyValues(storage.root)
        async with (
            TaskRunners(
                settings,
                instance=f"{instance_of(settings)}-{instance_id[:8]}",
                keeps_standbys=True,
            ) as runners,
            Engine(settings, store, flows, storage, kv, runners) as engine,
        ):
            triggers = Triggers(engine, flows, SqliteTriggers(store.state), settings)
            engine.host = DaemonHost(engine, store, triggers)
            yield Services(
                settings=settings,
                store=store,
                engine=engine,
                flows=flows,
                folder=folder,
                texts=texts,
                storage=storage,
                kv=kv,
                triggers=triggers,
                token=_kept(settings.state_dir / "token", secrets.token_urlsafe(32)),
                instance_id=instance_id,
            )


@asynccontextmanager
async def _answering(services: Services, listener: socket.socket) -> AsyncGenerator[None]:
    """Answer requests meanwhile; afterwards no new connection is taken."""
    runner = web.AppRunner(
        make_app(services),
        handle_signals=False,
        access_log=None,
        shutdown_timeout=1,
        keepalive_timeout=75,
    )
    await runner.setup()
    try:
        await web.SockSite(runner, listener).start()
        yield
    finally:
        with anyio.CancelScope(shield=True):
            await runner.cleanup()


async def _follow_flows(services: Services) -> None:
    """Have the triggers of flows come, change and go with them."""
    while True:
        changed = services.flows.changed
        services.triggers.changed()
        await changed.wait()


async def _drain(services: Services) -> bool:
    """Let what runs come to its end, but not longer than the setting allows.

    Whether something goes on after that.
    """
    with anyio.move_on_after(services.settings.drain.total_seconds()) as limit:
        for execution in await services.store.unfinished():
            await services.engine.wait_until_done(execution.id)
    left = await services.store.unfinished() if limit.cancelled_caught else ()
    if left:
        log.warning("daemon.left_running", executions=[each.id for each in left])
    return bool(left)


async def _end_when_broken(store: SqliteStore) -> None:
    """End as if killed when the disk gives errors: what is on it, only a new start can tell."""
    await store.broken.wait()
    log.critical(
        "daemon.ended",
        reason="the disk of the state folder gives errors or is read-only now",
        hint="what runs in containers goes on; start Eyas again when the disk is well",
    )
    os._exit(os.EX_IOERR)


async def _stop_on_signal(stop: anyio.Event) -> None:
    """The first signal asks to stop in order; the second does not wait for anything."""
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for number in signals:
            if stop.is_set():
                os._exit(128 + number)
            log.info("daemon.stopping", signal=signal.Signals(number).name)
            stop.set()


def _kept(file: Path, new: str) -> str:
    """The text in a file that only we can read; `new`, from now on, if there is none."""
    try:
        text = file.read_text().strip()
    except FileNotFoundError:
        text = ""
    if text:
        return text
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "w") as stream:
        stream.write(f"{new}\n")
        stream.flush()
        os.fsync(handle)
    return new
