"""Functions that give something new each time."""

from __future__ import annotations

from runner.expr.context import Arguments
from runner.expr.faults import Fault
from runner.expr.registry import function
from runner.expr.values import class_name, is_text

_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_NANO_ALPHABET = "_-0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_LONG = "java.lang.Long"
_KSUID_EPOCH = 1_400_000_000


def _base62(number: int) -> str:
    digits = ""
    while number:
        number, rest = divmod(number, 62)
        digits = _BASE62[rest] + digits
    return digits or "0"


@function("uuid")
def uuid(arguments: Arguments) -> object:
    """A random UUID of 36 characters.

    >>> {{ uuid() | length }}
    36
    """
    from uuid import UUID

    return str(UUID(int=arguments.context.services.random().getrandbits(128), version=4))


@function("id")
def id_(arguments: Arguments) -> object:
    """An id as Kestra makes them: at most 22 letters and digits.

    >>> {{ (id() | length) <= 22 }}
    true
    """
    from uuid import UUID

    return _base62(UUID(int=arguments.context.services.random().getrandbits(128), version=4).int)


@function("ksuid")
def ksuid(arguments: Arguments) -> object:
    """An id of 27 letters and digits that sorts by time.

    >>> {{ ksuid() | length }}
    27
    """
    services = arguments.context.services
    seconds = int(services.now().timestamp()) - _KSUID_EPOCH
    number = (seconds & 0xFFFFFFFF) << 128 | services.random().getrandbits(128)
    return _base62(number).rjust(27, "0")


@function("nanoId", "length alphabet")
def nano_id(arguments: Arguments) -> object:
    """A random string of `length` (21, at most 1000) characters of `alphabet`.

    >>> {{ nanoId(length=10) | length }}
    10
    """
    given, letters = arguments.get("length"), arguments.get("alphabet")
    # Kestra takes no length but a `Long`, and no alphabet but a string; else its defaults.
    length = int(given) if isinstance(given, int) and class_name(given) == _LONG else 21
    alphabet = letters if is_text(letters) else _NANO_ALPHABET
    if not 0 <= length <= 1000:
        raise Fault("The 'nanoId()' function field 'length' must be between 1 and 1000.")
    if not alphabet:
        raise Fault("The 'nanoId()' function field 'alphabet' must not be empty.")
    random = arguments.context.services.random()
    return "".join([alphabet[random.randrange(len(alphabet))] for _ in range(length)])


@function("randomInt", "lower upper")
def random_int(arguments: Arguments) -> object:
    """An integer from `lower` up to, and without, `upper`.

    >>> {{ randomInt(5, 6) }}
    5
    """
    lower, upper = arguments.long("lower"), arguments.long("upper")
    for name, bound in (("lower", lower), ("upper", upper)):
        if bound is None:
            raise Fault(f"The 'randomInt' function expects an argument '{name}'.")
    if lower is None or upper is None or upper < lower:
        raise Fault("In 'randomInt' upper is less than lower")
    return lower if lower == upper else arguments.context.services.random().randrange(lower, upper)


@function("randomPort")
def random_port(_: Arguments) -> object:
    """A TCP port of this machine that is free now.

    >>> {{ randomPort() > 1023 }}
    true
    """
    import socket

    try:
        with socket.socket() as server:
            server.bind(("127.0.0.1", 0))
            port: int = server.getsockname()[1]
            return port
    except OSError as error:
        raise Fault("Unable to find a free port") from error
