"""Where the Docker engine is: the flow, our settings, Docker's own conventions, known sockets."""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from runner.errors import RunnerUnavailable, SettingInvalid
from runner.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """The PEM files of a connection with TLS. `ca` None: the authorities that the system trusts."""

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    verify: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """An engine's address (`unix:///...`, `tcp://host:port`, `ssh://...`) and who named it."""

    url: str
    source: str
    tls: Tls | None = None

    @property
    def socket(self) -> str | None:
        """The path of a unix socket, None for any other address."""
        return self.url.removeprefix("unix://") if self.url.startswith("unix://") else None


def find_endpoint(settings: Settings, host: str | None = None) -> Endpoint:
    """The engine to use; `host` is what the flow says.

    Raises:
        RunnerUnavailable: nothing names an engine and none of the known sockets exists.
        SettingInvalid: what names it is of no use: a context that does not exist.
    """
    environ = settings.environ
    if host:
        return Endpoint(url=_url(host), source="taskRunner.host", tls=_tls_from(environ, host))
    if settings.docker_host:
        named = settings.docker_host
        return Endpoint(
            url=_url(named), source="setting docker_host", tls=_tls_from(environ, named)
        )
    if named := environ.get("DOCKER_HOST"):
        return Endpoint(url=_url(named), source="DOCKER_HOST", tls=_tls_from(environ, named))
    if context := _context_name(environ):
        return _from_context(context, environ)
    tried: list[Path] = []
    for path in _known_sockets(environ):
        if _is_socket(path):
            return Endpoint(url=f"unix://{path}", source="found there")
        tried.append(path)
    raise RunnerUnavailable(
        "No Docker engine was found: DOCKER_HOST is not set and there is no socket at "
        + ", ".join(map(str, tried))
        + "\nInstall or start Docker, or use the Process task runner (--task-runner process)."
    )


async def answers(endpoint: Endpoint) -> bool:
    """Whether something at `endpoint` answers a ping as a Docker engine does, within 2 s.

    For unix sockets and TCP without TLS; no HTTP library is needed for that.
    """
    import anyio

    try:
        with anyio.move_on_after(2):
            if endpoint.socket is not None:
                stream = await anyio.connect_unix(endpoint.socket)
            else:
                parts = urlsplit(endpoint.url)
                stream = await anyio.connect_tcp(parts.hostname or "", parts.port or 2375)
            async with stream:
                await stream.send(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")
                return b" 200 " in await stream.receive(64)
    except (OSError, ValueError, anyio.EndOfStream, anyio.BrokenResourceError):
        pass
    return False


def docker_config_file(environ: Mapping[str, str]) -> Path:
    """Where Docker's command line keeps its configuration and logins."""
    folder = environ.get("DOCKER_CONFIG")
    return (Path(folder) if folder else Path.home() / ".docker") / "config.json"


def _known_sockets(environ: Mapping[str, str]) -> Iterator[Path]:
    # Kestra's two (script-tasks 6.2), then rootless Docker, Docker Desktop and Podman.
    yield Path("/var/run/docker.sock")
    yield Path("/dind/docker.sock")
    runtime = environ.get("XDG_RUNTIME_DIR")
    if runtime:
        yield Path(runtime) / "docker.sock"
    yield Path.home() / ".docker/run/docker.sock"
    yield Path.home() / ".docker/desktop/docker.sock"
    if runtime:
        yield Path(runtime) / "podman/podman.sock"
    yield Path("/run/podman/podman.sock")


def _is_socket(path: Path) -> bool:
    try:
        return stat.S_ISSOCK(path.stat().st_mode)
    except OSError:
        return False


def _url(host: str) -> str:
    """Docker takes a bare path for a socket, and a bare `host:port` for TCP."""
    if "://" in host:
        return host
    return f"unix://{host}" if host.startswith("/") else f"tcp://{host}"


def _tls_from(environ: Mapping[str, str], host: str) -> Tls | None:
    """What DOCKER_TLS_VERIFY and DOCKER_CERT_PATH say, for an address that TLS applies to."""
    if host.startswith(("unix://", "/", "ssh://", "http://")):
        return None
    if not environ.get("DOCKER_TLS_VERIFY") and not host.startswith("https://"):
        return None
    return _tls_in(Path(environ.get("DOCKER_CERT_PATH") or docker_config_file(environ).parent))


def _context_name(environ: Mapping[str, str]) -> str | None:
    """The context in use, None for the default one."""
    name: Any = environ.get("DOCKER_CONTEXT")
    if not name:
        try:
            config: Any = json.loads(docker_config_file(environ).read_bytes())
            name = config.get("currentContext")
        except (OSError, ValueError, AttributeError):
            return None
    return name if isinstance(name, str) and name not in ("", "default") else None


def _from_context(name: str, environ: Mapping[str, str]) -> Endpoint:
    """The address in a context's metadata.

    Read here, as `docker`'s reader knows only the variables of this process and takes 0.1 s to
    import, and aiodocker's only ~/.docker.
    """
    folder = docker_config_file(environ).parent / "contexts"
    key = hashlib.sha256(name.encode()).hexdigest()
    try:
        meta = json.loads((folder / "meta" / key / "meta.json").read_bytes())
        endpoint: Any = meta["Endpoints"]["docker"]
        url = _url(endpoint["Host"])
        verify = not endpoint.get("SkipTLSVerify", False)
    except FileNotFoundError as error:
        raise SettingInvalid(
            f"Docker context '{name}' does not exist: see `docker context ls`, or unset"
            " DOCKER_CONTEXT"
        ) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SettingInvalid(f"Docker context '{name}' cannot be read: {error!r}") from error
    tls = _tls_in(folder / "tls" / key / "docker", verify=verify)
    found = any((tls.ca, tls.cert, tls.key)) and url.startswith(("tcp://", "https://"))
    return Endpoint(url=url, source=f"context '{name}'", tls=tls if found else None)


def _tls_in(folder: Path, *, verify: bool = True) -> Tls:
    """The files of the usual names in `folder`, as far as they are there."""
    names = ("ca.pem", "cert.pem", "key.pem")
    ca, cert, key = (path if path.is_file() else None for path in map(folder.joinpath, names))
    return Tls(ca=ca, cert=cert, key=key, verify=verify)
