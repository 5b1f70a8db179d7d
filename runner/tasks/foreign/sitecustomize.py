# ruff: noqa: PTH100, PTH118, PTH120, PTH123, PTH208
# (this runs before every script: pathlib would cost more than all the rest)
"""Startup code that puts a set of installed packages where an installation would have put them.

Its folder, in that of the packages, is on PYTHONPATH. It puts the packages before Python's own
`site-packages`, with their `.pth` files, unless this is another Python than the set was made for
(a virtual environment, another version). Then it hands over to the `sitecustomize` that would have
run without it.
"""

import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))


def _insert():
    """Put the packages before what they may replace, and behind Python's own modules."""
    library = os.path.dirname(_HERE)
    with open(os.path.join(_HERE, "prefix")) as stream:
        if stream.read() != sys.prefix or library in sys.path:
            return
    kept = ("site-packages", "dist-packages")
    places = [place for place, entry in enumerate(sys.path) if entry.endswith(kept)]
    # Never at the front, where a name of a package would hide one of Python's own modules.
    sys.path.insert(places[0] if places else len(sys.path), library)
    if any(name.endswith(".pth") for name in os.listdir(library)):
        import site

        site.addsitedir(library, set(sys.path))


def _next():
    """The loader of the next `sitecustomize` after ours on sys.path, and its empty module."""
    from _frozen_importlib import module_from_spec
    from _frozen_importlib_external import PathFinder

    places = [os.path.abspath(entry) for entry in sys.path if entry]
    after = places.index(_HERE) + 1 if _HERE in places else 0
    spec = PathFinder.find_spec("sitecustomize", places[after:])
    if spec is None or spec.loader is None or spec.origin == os.path.abspath(__file__):
        return None
    return spec.loader, module_from_spec(spec)


try:
    _insert()
    _found = _next()
except Exception:  # noqa: BLE001 - a script must never fail because of us
    _found = None

if _found is not None:
    # In our place, and loud: its errors are shown as they would be without us.
    sys.modules["sitecustomize"] = _found[1]
    _found[0].exec_module(_found[1])
