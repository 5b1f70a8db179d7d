"""Files of a container as tar streams, there and back."""

from __future__ import annotations

import io
import tarfile
from collections.abc import AsyncGenerator

import aiohttp
import anyio

from runner.runners.docker_client import CALL_LIMIT, Engine, EngineGone
from runner.runners.docker_pack import END


async def read_file(engine: Engine, container: str, path: str, limit: int) -> bytes:
    """The content of one file of a container, at most `limit` bytes of it.

    Raises:
        EngineError: there is no such file (404), or it is none.
    """
    url = f"containers/{container}/archive"
    async with engine.request("GET", url, params={"path": path}) as response:
        return _only_file(await _read_up_to(response, limit + 64 * 1024), limit)


async def _read_up_to(response: aiohttp.ClientResponse, limit: int) -> bytes:
    data = bytearray()
    while len(data) < limit:
        chunk = await next_chunk(response, limit - len(data))
        if not chunk:
            break
        data += chunk
    return bytes(data)


async def next_chunk(response: aiohttp.ClientResponse, size: int) -> bytes:
    """At most `size` bytes of an answer as they come, empty at its end."""
    with anyio.move_on_after(CALL_LIMIT.total_seconds()):
        return await response.content.read(size)
    raise EngineGone("The Docker engine stopped sending the files of a container")


def _only_file(archive: bytes, limit: int) -> bytes:
    """The content of an archive's first entry, if that is a file."""
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as found:
            entry = found.next()
            if entry is None or not entry.isreg():
                return b""
            start = entry.offset_data
            return archive[start : start + min(entry.size, limit)]
    except tarfile.TarError:
        return b""


async def put(
    engine: Engine,
    container: str,
    path: str,
    content: AsyncGenerator[bytes],
    more: bytes = b"",
) -> None:
    """Unpack an archive of `content` and `more` at `path` of a container."""

    async def body() -> AsyncGenerator[bytes]:
        async for chunk in content:
            yield chunk
        yield more + END

    url = f"containers/{container}/archive"
    headers = {"Content-Type": "application/x-tar"}
    async with engine.request("PUT", url, params={"path": path}, data=body(), headers=headers):
        return


async def one(data: bytes) -> AsyncGenerator[bytes]:
    """A stream of one chunk."""
    yield data
