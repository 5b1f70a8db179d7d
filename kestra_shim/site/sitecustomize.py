# ruff: noqa: PTH100, PTH118, PTH120
# (this runs before every script: pathlib would cost more than all the rest)
"""Startup code that Eyas puts before every Python script through PYTHONPATH.

It makes `kestra` importable (an installed `kestra` wins), gives `true`, `false` and `null` their
JSON meaning, and hands over to the `sitecustomize` that would have run without it. It must also
be silent in Python 2 and 3.6, which a script may start as a child: no newer syntax here.
"""

import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))


def _prepare():
    """Add the folder of the `kestra` module and the three JSON names."""
    lib = os.path.join(os.path.dirname(_HERE), "lib")
    # At the end: whatever the flow, its image or its virtual environment installed comes first.
    if lib not in sys.path:
        sys.path.append(lib)
    import builtins

    for name, value in (("true", True), ("false", False), ("null", None)):
        if not hasattr(builtins, name):
            setattr(builtins, name, value)


def _hide():
    """Show scripts the PYTHONPATH that they would see without us; children inherit ours still.

    Only Python's own view of the environment changes, not what the C library hands to children.
    """
    shown, name = getattr(os.environ, "_data"), os.environ.encodekey("PYTHONPATH")  # noqa: B009 - private, but the only way that leaves the C library's view alone
    entries = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    rest = [entry for entry in entries if not entry or os.path.abspath(entry) != _HERE]
    if rest and rest != [""]:
        shown[name] = os.environ.encodevalue(os.pathsep.join(rest))
    else:
        shown.pop(name, None)


def _next():
    """The loader of the next `sitecustomize` after ours on sys.path, and its empty module."""
    # Always there, unlike importlib.
    from _frozen_importlib import module_from_spec
    from _frozen_importlib_external import PathFinder

    places = [os.path.abspath(entry) for entry in sys.path if entry]
    after = places.index(_HERE) + 1 if _HERE in places else 0
    spec = PathFinder.find_spec("sitecustomize", places[after:])
    if spec is None or spec.loader is None or spec.origin == os.path.abspath(__file__):
        return None
    return spec.loader, module_from_spec(spec)


try:
    if sys.version_info >= (3, 8):
        _prepare()
        _hide()
    _found = _next()
except Exception:  # noqa: BLE001 - a script must never fail because of us
    _found = None

if _found is not None:
    # In our place, and loud: its errors are shown as they would be without us.
    sys.modules["sitecustomize"] = _found[1]
    _found[0].exec_module(_found[1])
