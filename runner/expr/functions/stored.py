"""Functions that reach outside the template: secrets, the key-value store, files, logs, HTTP."""

from __future__ import annotations

from typing import cast

from runner.errors import RenderFailed
from runner.expr.context import Arguments
from runner.expr.faults import Fault
from runner.expr.jsontext import read_json, write_json
from runner.expr.registry import function
from runner.expr.text import string_form
from runner.expr.values import is_items, is_map, plain


def _refused(error: RenderFailed) -> Fault:
    """Give a service's error as one of this expression."""
    return Fault(error.reason, hint=error.hint)


@function("secret", "key namespace subkey full")
def secret(arguments: Arguments) -> object:
    """The secret `key`, of the flow's namespace or another; it is masked in logs from then on.

    `subkey` takes one field of a secret that is a JSON text.

    >>> {{ secret('api_token') }}
    s3cr3t
    """
    key, services = arguments.needed_text("key"), arguments.context.services
    try:
        value = services.secret(key, arguments.text("namespace"))
    except RenderFailed as error:
        raise _refused(error) from error
    services.on_secret(value)
    subkey = arguments.text("subkey")
    if not subkey:
        return value
    missing = Fault(f"Cannot find secret sub-key '{subkey}' in secret '{key}'.")
    try:
        fields = read_json(value)
    except ValueError:
        raise missing from None
    if not isinstance(fields, dict) or subkey not in fields:
        raise missing
    from runner.expr.jq.formats import dump

    field = cast("dict[str, object]", fields)[subkey]
    text = field if isinstance(field, str) else dump(field)
    services.on_secret(text)
    return text


@function("kv", "key namespace errorOnMissing")
def kv(arguments: Arguments) -> object:
    """The value stored under `key`, with its type.

    Without a namespace the flow's own and its parents are searched. Where there is no value:
    an error, or null with `errorOnMissing=false`.

    >>> {{ kv('retries') + 1 }} {{ kv('absent', errorOnMissing=false) ?? 'none' }}
    4 none
    """
    key, namespace = arguments.needed_text("key"), arguments.text("namespace")
    try:
        return arguments.context.services.kv(key, namespace)
    except LookupError:
        if not arguments.boolean("errorOnMissing", True):
            return None
        where = namespace or arguments.context.flow("namespace")
        message = f"The key '{key}' does not exist in the namespace '{where}'."
        raise Fault(message) from None
    except RenderFailed as error:
        raise _refused(error) from error


def _path(arguments: Arguments) -> str:
    path = arguments.get("path")
    if not isinstance(path, str) or not path:
        name = arguments.called.split("'")[1]
        raise Fault(
            f"The '{name}' function expects an argument 'path' that is a path to a namespace file "
            "or an internal storage URI."
        )
    return path


@function("read", "path namespace")
def read(arguments: Arguments) -> object:
    """The content of a file as text: a `kestra:///` URI, or the path of a namespace file.

    >>> {{ read('greeting.txt') }}
    hello
    """
    path, namespace = _path(arguments), arguments.text("namespace")
    try:
        return arguments.context.services.read(path, namespace)
    except RenderFailed as error:
        raise _refused(error) from error


@function("fileSize", "path namespace")
def file_size(arguments: Arguments) -> object:
    """The size of a file in bytes.

    >>> {{ fileSize('greeting.txt') }}
    5
    """
    path, namespace = _path(arguments), arguments.text("namespace")
    try:
        return arguments.context.services.file_size(path, namespace)
    except RenderFailed as error:
        raise _refused(error) from error


@function("fileExists", "path namespace")
def file_exists(arguments: Arguments) -> object:
    """True when there is such a file.

    >>> {{ fileExists('greeting.txt') }} {{ fileExists('nowhere.txt') }}
    true false
    """
    path, namespace = _path(arguments), arguments.text("namespace")
    try:
        return arguments.context.services.file_exists(path, namespace)
    except RenderFailed as error:
        raise _refused(error) from error


@function("isFileEmpty", "path namespace")
def is_file_empty(arguments: Arguments) -> object:
    """True when a file has no content.

    >>> {{ isFileEmpty('greeting.txt') }}
    false
    """
    path, namespace = _path(arguments), arguments.text("namespace")
    try:
        return arguments.context.services.file_size(path, namespace) == 0
    except RenderFailed as error:
        raise _refused(error) from error


@function("fileURI", "path namespace")
def file_uri(arguments: Arguments) -> object:
    """The URI of a namespace file.

    >>> {{ fileURI('dir/x.py') }}
    kestra:///company/team/_files/dir/x.py
    """
    path = arguments.get("path")
    if not isinstance(path, str):
        raise Fault(
            "The 'fileURI' function expects an argument 'path' that is a path to a namespace file."
        )
    path = path.removeprefix("/")
    if "../" in path:
        raise Fault("Path must not contain '../'")
    namespace = arguments.text("namespace") or arguments.context.flow("namespace")
    if namespace is None:
        raise Fault("The 'fileURI' function needs the variable `flow.namespace`")
    return f"kestra:///{namespace.replace('.', '/')}/_files/{path}"


@function("errorLogs")
def error_logs(arguments: Arguments) -> object:
    """The ERROR log entries of this execution, as maps with `taskId`, `message` and more.

    >>> {{ errorLogs()[0].message }}
    it broke
    """
    try:
        return [dict(entry) for entry in arguments.context.services.error_logs()]
    except RenderFailed as error:
        raise _refused(error) from error


@function("http", "uri method query body contentType headers options accept")
def http(arguments: Arguments) -> object:
    """The body of an HTTP response, read as JSON unless `accept` says otherwise. Off by default.

    >>> {{ http(uri='https://example.test/x').id }}
    7
    """
    accept = arguments.text("accept") or "application/json"
    content_type = arguments.text("contentType") or "application/json"
    body = plain(arguments.get("body"), arguments.context.budget)
    if (is_map(body) or is_items(body)) and "json" in content_type:
        body = write_json(body, arguments.context.budget)
    elif body is not None and not is_map(body):
        body = string_form(body, arguments.context.budget)
    try:
        text = arguments.context.services.http(
            arguments.text("method") or "GET",
            arguments.needed_text("uri"),
            query=arguments.mapping("query"),
            body=body,
            content_type=content_type,
            headers=arguments.mapping("headers"),
            options=arguments.mapping("options"),
            accept=accept,
        )
    except RenderFailed as error:
        raise _refused(error) from error
    if "json" not in accept:
        return text
    try:
        return read_json(text) if text.strip() else None
    except ValueError as error:
        raise Fault(f"Failed to execute HTTP Request, the response is no JSON: {error}") from error


@function("env", "name default", since="2.0")
def env(arguments: Arguments) -> object:
    """An environment variable that flows may read, or `default`.

    >>> {{ env('GREETING', 'hi') }}
    hi
    """
    value = arguments.context.services.env(arguments.needed_text("name"))
    return arguments.get("default") if value is None else value
