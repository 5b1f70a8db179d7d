#!/bin/sh
# Set up what the tests need, then run the gate: ruff, pyright, pytest.
#
# Fast and harmless the second time: what exists is kept. As root a Docker engine is started if
# none answers, and given its images and registries (tests/setup/). Otherwise the tests that need
# them are skipped, except where CI=true: there a missing engine is a failure.
# Arguments are passed to pytest: tests/run.sh tests/unit -k layers
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
say() { printf '%s\n' "$*" >&2; }

sh deploy/venv.sh
# Installed once for each state of the lock file and the package's metadata.
state="$root $(cat tests/requirements.lock pyproject.toml | cksum)"
if [ "$(cat .venv/.tests 2>/dev/null)" != "$state" ]; then
    say "run: installing the development environment into .venv"
    export PIP_DISABLE_PIP_VERSION_CHECK=1
    .venv/bin/python -m pip install -q --require-hashes -r tests/requirements.lock
    .venv/bin/python -m pip install -q --no-deps --no-build-isolation -e .
    printf '%s\n' "$state" >.venv/.tests
fi

if ! { sh tests/setup/engine.sh && sh tests/setup/images.sh && sh tests/setup/registry.sh; }; then
    [ "${CI:-}" != true ] || exit 1
    say "run: without all of the Docker set-up; tests that need what is missing are skipped or fail"
fi

failed=
# gate NAME COMMAND...: run one part of the gate. The parts after a failed one still run.
gate() {
    name=$1
    shift
    say "run: $name"
    "$@" || failed="$failed $name,"
}
gate "ruff check" .venv/bin/ruff check
gate "ruff format" .venv/bin/ruff format --check
gate "pyright" .venv/bin/pyright
gate "pytest" .venv/bin/python -m pytest "$@"

[ -z "$failed" ] || {
    say "run: failed:${failed%,}"
    exit 1
}
