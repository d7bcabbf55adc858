"""Hostile clients of the ingest service: thousands of connections, slow bodies; and TLS."""

import asyncio
import json
import resource
import socket
import ssl
from collections import deque
from contextlib import suppress
from pathlib import Path

import pytest
from ingest_service import JSON, TOKEN, Served, call, serving

from helpers.certificates import certificate
from helpers.patience import PATIENCE_S
from streams.ingest.http import main

HEAD = (
    f"POST /v1/records HTTP/1.1\r\nHost: ingest\r\nAuthorization: Bearer {TOKEN}\r\n"
    "Content-Type: application/json\r\nContent-Length: 4000000\r\n\r\n"
).encode()
# What a hostile client sends before it waits: nothing, half a header, a body that does not come.
BEGUN = (b"", b"POST /v1/records HT", HEAD.replace(TOKEN.encode(), b"wrong"))


async def dialled(port: int, sent: bytes) -> socket.socket:
    loop, stranger = asyncio.get_running_loop(), socket.socket()
    stranger.setblocking(False)
    await loop.sock_connect(stranger, ("127.0.0.1", port))
    with suppress(ConnectionError):  # the server may already have closed it
        await loop.sock_sendall(stranger, sent)
    return stranger


@pytest.mark.thorough
async def test_ten_thousand_connections_leave_the_ingest_service_open(tmp_path: Path) -> None:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    held: deque[socket.socket] = deque()
    async with serving(tmp_path) as service:
        try:
            for turn in range(100):
                sent = BEGUN[turn % len(BEGUN)]
                held.extend(await asyncio.gather(*(dialled(service.port, sent) for _ in range(100))))
                while len(held) > soft // 3:
                    held.popleft().close()
                if turn % 10 == 9:
                    assert (await service.post(call(turn)))[0] == 202
            assert (await service.ask("GET", "/healthz", {}))[0] == 200
            # Each closed connection is counted; of unwanted bodies, some end with an answer.
            assert await service.metric('callwarden_http_connections_refused_total{reason="limit"}') > 1_000
            assert len(service.topics.of("cdr")) == 10
            assert await service.metric("callwarden_ingest_held_bytes") == 0
        finally:
            for each in held:
                each.close()


async def test_bodies_that_dribble_end_with_408_and_hold_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(main, "_REQUEST_S", 1.0)
    async with serving(tmp_path) as service:
        slow = [await asyncio.open_connection("127.0.0.1", service.port) for _ in range(30)]
        dribbling = [asyncio.create_task(dribble(writer)) for _, writer in slow]
        async with asyncio.timeout(PATIENCE_S):
            while (await service.post(call(1)))[0] != 202:  # on a busy machine other requests may also be too slow
                await asyncio.sleep(0)
        for answer in await asyncio.gather(*(reader.read() for reader, _ in slow), return_exceptions=True):
            # A client that is still sending when it is cut off may not receive the answer.
            assert isinstance(answer, ConnectionError) or answer.startswith(b"HTTP/1.1 408 ")
        async with asyncio.timeout(PATIENCE_S):
            while await service.metric('callwarden_http_connections_refused_total{reason="deadline"}') < 30:
                await asyncio.sleep(0.05)
            while await held_bytes(service):
                await asyncio.sleep(0.05)
        for task, (_, writer) in zip(dribbling, slow, strict=True):
            task.cancel()
            writer.close()
        assert {json.loads(each.value or b"")["call_id"] for each in service.topics.of("cdr")} == {"c-1"}


async def dribble(writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        writer.write(HEAD)
        while True:
            writer.write(b"[" * 1_000)
            await writer.drain()
            await asyncio.sleep(0.02)


async def held_bytes(service: Served) -> float:
    return await service.metric("callwarden_ingest_held_bytes")


async def test_with_tls_it_takes_records_and_none_in_clear(tmp_path: Path) -> None:
    pem, key = map(str, certificate(tmp_path))
    files = {"ingest_tls_cert_file": pem, "ingest_tls_key_file": key}
    trusting = ssl.create_default_context(cafile=pem)
    async with serving(tmp_path, tls=trusting, **files) as service:
        assert (await service.post(call(1)))[0] == 202
        assert len(service.topics.of("cdr")) == 1
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        writer.write(HEAD + json.dumps(call(2)).encode())
        assert b"202" not in await reader.read()
        writer.close()
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.open_connection("127.0.0.1", service.port, ssl=ssl.create_default_context())
        assert (await service.post(call(3), JSON))[0] == 202
