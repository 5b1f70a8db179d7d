# shellcheck shell=sh
# Shared by the scripts of this folder: where things are, and how they speak. Sourced, not run.
# The sourcing script has set `here` to this folder.

root=$(cd "$here/../.." && pwd)
cache=$root/.test # rootfs tars, logs, registry data: never committed, safe to delete
mkdir -p "$cache"

say() { printf '%s\n' "setup: $*" >&2; }
die() {
    say "$*"
    exit 1
}

# engine_answers: true when a Docker engine can be reached with the settings of this shell.
engine_answers() { docker info >/dev/null 2>&1; }

# wait_for SECONDS COMMAND...: true as soon as COMMAND succeeds, false when the time is up.
wait_for() {
    tries=$(($1 * 5))
    shift
    while ! "$@"; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || return 1
        sleep 0.2
    done
}

# need_packages COMMAND=PACKAGE...: install the Debian packages of those commands that are missing.
need_packages() {
    missing=
    for pair in "$@"; do
        command -v "${pair%%=*}" >/dev/null 2>&1 && continue
        case "$missing " in *" ${pair#*=} "*) ;; *) missing="$missing ${pair#*=}" ;; esac
    done
    [ -n "$missing" ] || return 0
    [ "$(id -u)" = 0 ] || die "missing:$missing. Install them, or run this as root."
    command -v apt-get >/dev/null 2>&1 || die "missing:$missing, and there is no apt-get here."
    say "installing$missing"
    # shellcheck disable=SC2086 # a list of package names
    apt_install $missing || { apt-get update -q >"$cache/apt.log" 2>&1 && apt_install $missing; } ||
        die "could not install$missing, see $cache/apt.log"
}

apt_install() {
    DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -q --no-install-recommends "$@" >>"$cache/apt.log" 2>&1
}
