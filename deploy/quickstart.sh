#!/bin/sh
# Install Eyas into this clone and run the first flow.
#
# Needs Python 3.11 or newer, and nothing else: no root, no Docker, no database. Everything goes
# into .venv; delete that folder and it is gone. Options are passed on: quickstart.sh -i name=Ada
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"

sh deploy/venv.sh
# Installed once for each state of the package's metadata: the code itself is used where it stands.
state="$root $(cksum <pyproject.toml)"
if [ "$(cat .venv/.quickstart 2>/dev/null)" != "$state" ]; then
    echo "Installing Eyas into $root/.venv ..." >&2
    .venv/bin/python -m pip install -q --disable-pip-version-check -e ".[tty]"
    printf '%s\n' "$state" >.venv/.quickstart
fi

status=0
.venv/bin/eyas run flows/hello.yaml "$@" || status=$?
[ "$status" = 0 ] && echo "Next: .venv/bin/eyas --help, or another flow of the folder flows/." >&2
exit "$status"
