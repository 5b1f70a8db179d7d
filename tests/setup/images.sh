#!/bin/sh
# Give the engine the images that the tests use, made on this machine: no registry is needed.
#
# python:3.11-slim and four other names   Debian 12 with python, python3, pip, venv
# busybox:latest                          one static busybox
# eyas-test/alpine-like:latest            busybox and python3, no bash and no coreutils
# eyas-test/nonroot:latest                the Python image with USER 1000:1000
#
# A name that the engine already has is left alone. `images.sh --force` makes all of them anew.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/common.sh"

python_names="python:3.11-slim python:3.13-slim python:latest ubuntu:latest debian:bookworm-slim"
force=${1:-}
engine_answers || die "no Docker engine answers: run tests/setup/engine.sh first"

# wanted NAME...: true when at least one of the images has to be made.
wanted() {
    [ "$force" = --force ] && return 0
    for name in "$@"; do
        docker image inspect "$name" >/dev/null 2>&1 || return 0
    done
    return 1
}

# tag_all SOURCE NAME...: give the image those names that the engine does not have yet.
tag_all() {
    source=$1
    shift
    for name in "$@"; do
        if wanted "$name"; then docker tag "$source" "$name"; fi
    done
}

make_python() {
    tar=$cache/python-rootfs.tar
    if [ ! -s "$tar" ]; then
        need_packages mmdebstrap=mmdebstrap
        say "making a Debian root file system with Python"
        # The machine's way to its Debian mirror (proxy, clock) holds for this one too.
        apt-config dump | grep '^Acquire::' >"$cache/apt.conf" || true
        mmdebstrap --quiet --format=tar --variant=minbase --aptopt="$cache/apt.conf" \
            --include=python3,python3-pip,python3-venv,ca-certificates \
            --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
            --customize-hook="$here/like-official.sh \"\$1\"" \
            bookworm "$tar.part" || die "mmdebstrap failed"
        mv "$tar.part" "$tar"
    fi
    docker import -c 'CMD ["python3"]' -c 'ENV PIP_BREAK_SYSTEM_PACKAGES=1' \
        "$tar" eyas-test/python:latest >/dev/null
    # shellcheck disable=SC2086 # a list of image names
    tag_all eyas-test/python:latest $python_names
}

# build NAME DOCKERFILE-TEXT: build an image whose context is one static busybox.
build() {
    need_packages busybox=busybox-static
    context=$(mktemp -d "${TMPDIR:-/tmp}/setup-image.XXXXXX")
    cp "$(command -v busybox)" "$context/busybox"
    printf '%s\n' "$2" >"$context/Dockerfile"
    # The classic builder, since the newer one is a package of its own on Debian.
    if ! DOCKER_BUILDKIT=0 docker build -q --network none -t "$1" "$context" >"$cache/build.log" 2>&1; then
        cat "$cache/build.log" >&2
        rm -rf "$context"
        die "docker build of $1 failed"
    fi
    rm -rf "$context"
}

make_busybox() {
    build busybox:latest 'FROM scratch
COPY busybox /bin/busybox
RUN ["/bin/busybox", "mkdir", "-p", "/tmp", "/etc", "/usr/bin", "/root"]
RUN ["/bin/busybox", "--install", "-s", "/bin"]
RUN chmod 1777 /tmp && echo root:x:0:0:root:/root:/bin/sh >/etc/passwd && echo root:x:0: >/etc/group
CMD ["sh"]'
}

make_alpine_like() {
    build eyas-test/alpine-like:latest 'FROM eyas-test/python:latest AS full
WORKDIR /
RUN mkdir /out \
 && cp -a --parents usr/bin/python3 usr/bin/python3.11 usr/lib/python3.11 /out \
 && ldd usr/bin/python3.11 usr/lib/python3.11/lib-dynload/*.so | grep -o "[[:space:]]/[^ ]*" | sort -u \
    | while read -r file; do cp -L --parents "${file#/}" /out; done
FROM busybox:latest
COPY --from=full /out/ /
CMD ["sh"]'
}

make_nonroot() {
    build eyas-test/nonroot:latest 'FROM eyas-test/python:latest
USER 1000:1000'
}

# shellcheck disable=SC2086 # a list of image names
if wanted eyas-test/python:latest $python_names; then make_python; fi
if wanted busybox:latest; then make_busybox; fi
if wanted eyas-test/alpine-like:latest; then make_alpine_like; fi
if wanted eyas-test/nonroot:latest; then make_nonroot; fi
