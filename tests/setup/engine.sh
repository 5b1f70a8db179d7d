#!/bin/sh
# Make sure that a Docker engine answers. One that already does is left alone.
#
# As root on Debian it is installed and started as a process of its own, so no init system is
# needed; it then outlives this script, and its log is .test/dockerd.log.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/common.sh"

# The client is needed to ask; without it there is no engine of ours either.
command -v docker >/dev/null 2>&1 && engine_answers && exit 0
[ "$(id -u)" = 0 ] || die "no Docker engine answers, and only root can start one."
[ -z "${DOCKER_HOST:-}" ] || die "no engine answers at DOCKER_HOST, which says where it should."

need_packages dockerd=docker.io iptables=iptables docker=docker.io
engine_answers && exit 0 # the package may have started its service
# A pid file of an engine that died with its machine keeps the next one from starting.
pid=$(cat /var/run/docker.pid 2>/dev/null || true)
[ -n "$pid" ] && ! kill -0 "$pid" 2>/dev/null && rm -f /var/run/docker.pid

say "starting dockerd"
setsid nohup dockerd >"$cache/dockerd.log" 2>&1 </dev/null &
wait_for 60 engine_answers || {
    tail -n 20 "$cache/dockerd.log" >&2
    die "dockerd did not answer within 60 s"
}
