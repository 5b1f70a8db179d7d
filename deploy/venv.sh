#!/bin/sh
# Make the virtual environment .venv inside this clone, with pip in it. One that works is kept.
#
# PYTHON=/path/to/python chooses the interpreter; otherwise the first of 3.11 or newer on the PATH.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
venv=$root/.venv

die() {
    printf '%s\n' "$*" >&2
    exit 1
}

# suits PYTHON: true for an interpreter that exists and is new enough.
suits() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

suits "$venv/bin/python" && "$venv/bin/python" -c 'import pip' 2>/dev/null && exit 0

python=
for name in ${PYTHON:-python3 python3.11 python3.12 python3.13 python3.14}; do
    if suits "$name"; then
        python=$name
        break
    fi
done
[ -n "$python" ] || die "Eyas needs Python 3.11 or newer; there is none on the PATH.
On Debian 12 or Ubuntu 24.04: apt-get install python3 python3-venv.
An interpreter elsewhere: PYTHON=/path/to/python3 sh $0"

"$python" -m venv --clear "$venv" >/dev/null 2>&1 && exit 0

# Debian ships Python without the package that puts pip into a new environment; pip of the machine
# can do that as well.
"$python" -m venv --clear --without-pip "$venv" &&
    "$python" -m pip --python "$venv/bin/python" install -q --disable-pip-version-check pip \
        >/dev/null 2>&1 && exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing python3-venv ..." >&2
    export DEBIAN_FRONTEND=noninteractive
    {
        apt-get install -y -q --no-install-recommends python3-venv ||
            { apt-get update -q && apt-get install -y -q --no-install-recommends python3-venv; }
    } >/dev/null 2>&1 || true
    "$python" -m venv --clear "$venv" >/dev/null 2>&1 && exit 0
fi
rm -rf "$venv"
die "$python can make no virtual environment: it has neither ensurepip nor pip.
On Debian or Ubuntu: apt-get install python3-venv (as root), then run this again."
