"""Settings: read once from the environment and one file, then handed down, never changed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import field, fields
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal, cast, get_args, get_origin, get_type_hints

from runner.errors import SettingInvalid
from runner.records import record

INSTANCE_LABEL = "eyas.instance"
"""Label of every container and volume that Eyas makes; its value says which Eyas made it."""

KEEP_LABEL = "eyas.keep"
"""Label of a container that its flow wants to stay: `delete: false`, `wait: false`."""

TEMP_PREFIX = "eyas-"
"""How the names of Eyas's folders in the temporary directory begin."""


def temp_dir(environ: Mapping[str, str]) -> Path:
    """The system's folder for temporary files, by the variables that Python looks at too."""
    named = (environ.get(name) for name in ("TMPDIR", "TEMP", "TMP"))
    return next((Path(path) for path in named if path and Path(path).is_dir()), Path("/tmp"))


def default_state_dir(environ: Mapping[str, str]) -> Path:
    """Where executions, files and keys are kept unless a setting says otherwise."""
    base = environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base) / "eyas"


def secret_variable(environ: Mapping[str, str], key: str) -> str | None:
    """What the variable `SECRET_<KEY>` holds, in whatever case it is named; None without one."""
    wanted = f"SECRET_{key}".upper()
    if wanted in environ:
        return environ[wanted]
    return next((text for name, text in environ.items() if name.upper() == wanted), None)


def from_base64(text: str) -> str | None:
    """The text that `text` is in base64, perhaps in lines and without `=` at its end, or None."""
    import base64
    import binascii

    joined = text.replace("\r", "").replace("\n", "")
    try:
        return base64.b64decode(joined + "=" * (-len(joined) % 4), validate=True).decode()
    except (binascii.Error, ValueError):
        return None


@record(kw_only=True)
class Settings:
    """Everything that can be set, with its default.

    `environ` is the process environment at the start: secrets (`SECRET_*`), variables for flows
    and Docker's own variables are looked up in it. Task processes inherit it.

    For the daemon: `host` and `port` are where its API listens; on another address than loopback
    it wants `api_user` and `api_password`, or `api_token`. `read_only` refuses every change
    through the API. `allowed_hosts` are further names a request may call it by, `cors_origins`
    web pages that may use it. `drain` is how long running tasks may take to end when it stops.
    Ended executions are deleted, oldest first, with their logs and files, when they are older than
    `retention_age`, more than `retention_count`, or all that is kept is larger than
    `retention_max_bytes`; 0 is no limit. `log_max_bytes` is how much of one execution's output
    goes into its log. While less than `min_free_bytes` is free on the disk of `state_dir` nothing
    new is begun.

    For packages of Python tasks: `package_cache` off installs them anew for every attempt.
    `package_refresh` is the age at which a set without fixed versions is made anew. `offline`
    asks no package index and no registry; `refresh` makes sets anew that a task is about to use.

    `standbys` is how many containers may wait for tasks at the same time (0: none, as on a machine
    with less than 1 GiB of memory).
    """

    state_dir: Path = Path(".eyas")
    tmp_dir: Path = field(default_factory=lambda: temp_dir(os.environ))
    task_runner: Literal["auto", "docker", "process"] = "docker"
    env_prefix: str = "ENV_"
    unknown_properties: Literal["refuse", "warn"] = "refuse"
    docker_host: str | None = None
    docker_volume_enabled: bool = False
    docker_privileged_enabled: bool = False
    docker_host_namespaces_enabled: bool = False
    docker_profile: Literal["default", "strict"] = "default"
    stop_grace: timedelta = timedelta(seconds=5)
    pipe_grace: timedelta = timedelta(seconds=5)
    host: str = "127.0.0.1"
    port: int = 8080
    read_only: bool = False
    api_user: str | None = None
    api_password: str | None = None
    api_token: str | None = None
    allowed_hosts: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    max_upload_bytes: int = 10 * 1024**3
    drain: timedelta = timedelta(seconds=30)
    retention_age: timedelta = timedelta(days=90)
    retention_count: int = 100_000
    retention_max_bytes: int = 10 * 1024**3
    min_free_bytes: int = 64 * 1024**2
    log_max_bytes: int = 100 * 1024**2
    package_cache: Literal["on", "off"] = "on"
    package_cache_max_bytes: int = 5 * 1024**3
    package_refresh: timedelta = timedelta(hours=24)
    offline: bool = False
    refresh: bool = False
    standbys: int = 50
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))


SETTINGS_FILE = "eyas.toml"
"""Name of the settings file, looked for in the current folder."""

_PREFIX = "EYAS_"
_SECTIONS = {"validation_unknown_properties": "unknown_properties"}


def load_settings(
    *,
    environ: Mapping[str, str] | None = None,
    file: Path | None = None,
    defaults: Mapping[str, Any] | None = None,
    **given: Any,
) -> Settings:
    """Settings from `given` (None: not given), `EYAS_NAME` variables, a file, and `defaults`.

    The earlier wins. `file` is `eyas.toml` of the current folder or what `EYAS_CONFIG` names; a
    section there is a prefix: `[docker] profile = "strict"` is `docker_profile`.

    Raises:
        SettingInvalid: a value is wrong, or a name unknown.
    """
    environ = os.environ if environ is None else environ
    named = environ.get(f"{_PREFIX}CONFIG")
    path = file or Path(named or SETTINGS_FILE)
    known = {each.name: each for each in fields(Settings) if each.name != "environ"}
    values: dict[str, Any] = {"state_dir": default_state_dir(environ), **(defaults or {})}
    if named is not None or path.is_file():
        for name, value in _from_file(path).items():
            if name not in known:
                raise SettingInvalid(f"{path}: unknown setting '{name}'")
            values[name] = _converted(name, value, f"{path}: {name}")
    for name in known:
        text = environ.get(f"{_PREFIX}{name.upper()}")
        if text is not None:
            values[name] = _converted(name, text, f"{_PREFIX}{name.upper()}")
    values.update({name: value for name, value in given.items() if value is not None})
    return Settings(**values, environ=dict(environ))


def _from_file(path: Path) -> dict[str, Any]:
    import tomllib

    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingInvalid(f"{path}: cannot be read: {error}") from error
    flat: dict[str, Any] = {}
    for name, value in data.items():
        if isinstance(value, dict):
            inner = cast("dict[str, Any]", value)
            flat.update({f"{name}_{key}": item for key, item in inner.items()})
        else:
            flat[name] = value
    return {_SECTIONS.get(name, name): value for name, value in flat.items()}


def _converted(name: str, value: Any, where: str) -> Any:
    """`value`, text from a variable or plain data from the file, as the setting's type."""
    kind = _type_of(name)
    options = get_args(kind)
    text = str(value)
    try:
        if get_origin(kind) is Literal:
            if text not in options:
                raise ValueError(f"one of {', '.join(options)} is needed")
            return text
        if bool in (kind, *options):
            return _BOOLEANS[text.lower()]
        if timedelta in (kind, *options):
            return timedelta(seconds=float(text))
        if Path in (kind, *options):
            return Path(text).expanduser()
        if int in (kind, *options):
            return int(text)
        if tuple in (kind, get_origin(kind)):
            items = cast("list[Any]", value) if isinstance(value, list) else text.split(",")
            return tuple(str(item).strip() for item in items if str(item).strip())
        return text
    except (ValueError, KeyError) as error:
        raise SettingInvalid(f"{where}: '{text}' is not valid: {_reason(error)}") from error


def _type_of(name: str) -> Any:
    """The type of one setting: evaluating those of all takes longer than reading the settings."""
    only = SimpleNamespace(__annotations__={name: Settings.__annotations__[name]})
    return get_type_hints(only, globals())[name]


_BOOLEANS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def _reason(error: Exception) -> str:
    return "true or false is needed" if isinstance(error, KeyError) else str(error)
