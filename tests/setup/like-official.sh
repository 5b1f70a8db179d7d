#!/bin/sh
# Make the Debian root file system ROOT behave as the official Python images do (mmdebstrap hook).
#
# usage: like-official.sh ROOT
set -eu
root=$1

# People's scripts say `python` as well as `python3`.
ln -sf /usr/bin/python3 "$root/usr/local/bin/python"
# The official images let pip install into their own Python.
rm -f "$root"/usr/lib/python3*/EXTERNALLY-MANAGED

# Containers reach the package index the way this machine does: its certificates, its pip settings.
bundle=/etc/ssl/certs/ca-certificates.crt
if [ -s "$bundle" ]; then cp "$bundle" "$root$bundle"; fi
for file in /etc/pip.conf /etc/uv/uv.toml; do
    if [ -s "$file" ]; then
        mkdir -p "$root$(dirname "$file")"
        cp "$file" "$root$file"
    fi
done
