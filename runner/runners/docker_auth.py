"""What to show a registry: the task's credentials, else Docker's own logins and helpers."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable, Mapping
from typing import Any, cast

from runner.errors import RunnerUnavailable
from runner.runners.docker_host import docker_config_file
from runner.runners.docker_options import Credentials, DockerOptions
from runner.settings import Settings

_HUB = "docker.io"
_HUB_KEY = "https://index.docker.io/v1/"
_HUB_SPELLINGS = ("docker.io", "index.docker.io", "registry-1.docker.io")


def registry_of(image: str) -> str:
    """The registry that `image` is pulled from (`docker.io` for a bare name).

    Raises:
        RunnerUnavailable: this can be no image's name.
    """
    from docker.auth import resolve_repository_name
    from docker.errors import DockerException

    resolve: Any = resolve_repository_name
    try:
        return str(resolve(image)[0])
    except (DockerException, ValueError) as error:
        raise RunnerUnavailable(f"Invalid image name '{image}': {error}") from error


def registry_auth(
    image: str, options: DockerOptions, settings: Settings, warn: Callable[[str], None]
) -> str | None:
    """The header X-Registry-Auth for a pull of `image`; None without any credentials.

    It may start a credential helper, so it is for a thread. `warn` is told of a helper that fails.

    Raises:
        RunnerUnavailable: `image` is no image's name.
    """
    registry = registry_of(image)
    found = _from_credentials(options.credentials, registry)
    if found is None and options.config is not None:
        # Helpers are programs: those that a flow names are not started (reliability R4).
        found = _from_config({"auths": options.config.get("auths") or {}}, registry, warn)
    if found is None:
        try:
            config = json.loads(docker_config_file(settings.environ).read_bytes())
        except (OSError, ValueError):
            config = {}
        found = _from_config(config, registry, warn)
    if not found:
        return None
    return base64.urlsafe_b64encode(json.dumps(found).encode()).decode()


def known_logins(settings: Settings) -> Mapping[str, str]:
    """For each registry in Docker's configuration, where its login is kept."""
    try:
        config: Any = json.loads(docker_config_file(settings.environ).read_bytes())
        auths: dict[str, object] = config.get("auths") or {}
        logins = dict.fromkeys(auths, "config.json")
        helpers: Mapping[str, str] = config.get("credHelpers") or {}
        store = config.get("credsStore")
    except (OSError, ValueError, AttributeError):
        return {}
    if store:
        logins = dict.fromkeys(logins, f"docker-credential-{store}")
        logins.setdefault("all others", f"docker-credential-{store}")
    return {**logins, **{name: f"docker-credential-{value}" for name, value in helpers.items()}}


def _from_credentials(credentials: Credentials | None, registry: str) -> Mapping[str, Any] | None:
    """The task's own credentials, if they are for this registry."""
    if credentials is None:
        return None
    named = credentials.registry
    if named is not None and normalised(named) != normalised(registry):
        return None
    found: dict[str, Any] = {
        "username": credentials.username,
        "password": credentials.password,
        "registrytoken": credentials.registry_token,
        "identitytoken": credentials.identity_token,
    }
    if credentials.auth:
        found["username"], found["password"] = _split(credentials.auth)
    found = {name: value for name, value in found.items() if value}
    return {**found, "serveraddress": _HUB_KEY if registry == _HUB else registry}


def normalised(registry: str) -> str:
    """One spelling for a registry: no scheme, no path; any of Docker Hub's names is `docker.io`."""
    host = registry.strip().partition("://")[2] or registry.strip()
    host = host.partition("/")[0].lower()
    return _HUB if host in _HUB_SPELLINGS else host


def _split(auth: str) -> tuple[str, str]:
    """User and password of the base64 text that Docker's configuration calls `auth`."""
    try:
        user, _, password = base64.b64decode(auth, validate=True).decode().partition(":")
    except ValueError as error:
        raise RunnerUnavailable(
            "Invalid credentials.auth: base64 of user:password is needed"
        ) from error
    return user, password


def _from_config(
    config: Any, registry: str, warn: Callable[[str], None]
) -> Mapping[str, Any] | None:
    """What a Docker `config.json` has for the registry: helper, store, plain login."""
    from docker.auth import AuthConfig
    from docker.errors import DockerException

    if not isinstance(config, dict):
        return None
    content = cast("dict[str, Any]", config)
    entries: dict[str, object] = content.get("auths") or {}
    auths: dict[str, Any] = {name: _plain_login(entry) for name, entry in entries.items()}
    # `docker` takes its own spelling of the registry only.
    auths = {(_HUB_KEY if normalised(name) == _HUB else name): auths[name] for name in auths}
    plain: Any = AuthConfig({"auths": auths})
    whole: Any = AuthConfig({**content, "auths": auths})
    helper: str | None = whole.get_credential_store(registry)
    if helper is None:
        return plain.resolve_authconfig(registry)
    program = f"docker-credential-{helper}"
    if shutil.which(program) is None:
        warn(f"The login for {registry} could not be read: {program} is not installed")
        return plain.resolve_authconfig(registry)
    try:
        return whole.resolve_authconfig(registry)
    except (DockerException, OSError) as error:
        warn(f"The login for {registry} could not be read: {error}")
        return plain.resolve_authconfig(registry)


def _plain_login(entry: Any) -> Mapping[str, Any]:
    """An entry of `auths` with user and password in clear, as a registry wants them."""
    if not isinstance(entry, dict):
        return {}
    login = cast("dict[str, Any]", entry)
    if login.get("identitytoken"):
        return {"IdentityToken": login["identitytoken"]}
    found = {name: login[name] for name in ("username", "password") if login.get(name)}
    if login.get("auth"):
        found["username"], found["password"] = _split(str(login["auth"]))
    return found
