#!/bin/sh
# Make sure that two image registries answer on loopback, where the engine accepts plain HTTP.
#
# 127.0.0.1:5000   open; holds eyas-test/busybox:latest
# 127.0.0.1:5001   asks for a password, user `eyas`, password `secret`; holds private/busybox:latest
#
# They keep their images in .test/ and outlive this script. One that already answers is left alone.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/common.sh"

# The bcrypt hash of `secret`.
users='eyas:$2b$04$b.4Y4MmwTSVvBA6TMYheIeOMN9DsVZml2UOhWJlgR0nAi.Dxaf/i.'

# answers PORT: true when something speaks the registry protocol there (401 counts: it asks).
answers() {
    python3 - "$1" <<'PYTHON'
import http.client, sys
connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=2)
try:
    connection.request("GET", "/v2/")
    sys.exit(0 if connection.getresponse().status in (200, 401) else 1)
except OSError:
    sys.exit(1)
PYTHON
}

# config PORT: a registry's configuration, without the part about passwords.
config() {
    cat <<YAML
version: 0.1
log: {level: warn}
storage:
  filesystem: {rootdirectory: $cache/registry-$1}
  delete: {enabled: true}
http: {addr: "127.0.0.1:$1"}
YAML
}

# serve PORT: start a registry with .test/registry-PORT.yml.
serve() {
    say "starting the registry on port $1"
    setsid nohup docker-registry serve "$cache/registry-$1.yml" \
        >"$cache/registry-$1.log" 2>&1 </dev/null &
    wait_for 30 answers "$1" || die "no registry on port $1, see $cache/registry-$1.log"
}

if ! answers 5000; then
    need_packages docker-registry=docker-registry
    config 5000 >"$cache/registry-5000.yml"
    serve 5000
fi
if ! answers 5001; then
    need_packages docker-registry=docker-registry
    printf '%s\n' "$users" >"$cache/htpasswd"
    {
        config 5001
        printf 'auth:\n  htpasswd: {realm: eyas-test, path: %s}\n' "$cache/htpasswd"
    } >"$cache/registry-5001.yml"
    serve 5001
fi

# A login goes into a configuration of its own: the user's stays as it is. Its context is kept.
DOCKER_HOST=${DOCKER_HOST:-$(docker context inspect -f '{{.Endpoints.docker.Host}}')}
export DOCKER_HOST
DOCKER_CONFIG=$(mktemp -d "${TMPDIR:-/tmp}/setup-login.XXXXXX")
export DOCKER_CONFIG
trap 'rm -rf "$DOCKER_CONFIG"' EXIT
printf '{"auths":{"127.0.0.1:5001":{"auth":"%s"}}}\n' "$(printf eyas:secret | base64)" \
    >"$DOCKER_CONFIG/config.json"
for name in 127.0.0.1:5000/eyas-test/busybox:latest 127.0.0.1:5001/private/busybox:latest; do
    docker manifest inspect --insecure "$name" >/dev/null 2>&1 && continue
    docker tag busybox:latest "$name"
    docker push -q "$name" >/dev/null || die "could not push $name"
    docker rmi "$name" >/dev/null
done
