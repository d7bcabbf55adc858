"""TLS: strangers who do not end a handshake, and what a client sends with the end of one."""

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from served_app import HEALTH, MUCH_S, Served, serving, until

from helpers.certificates import certificate
from helpers.patience import PATIENCE_S


@pytest.fixture
def contexts(tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The server's, and the one of a client that trusts it."""
    pem, key = certificate(tmp_path)
    own = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    own.load_cert_chain(pem, key)
    return own, ssl.create_default_context(cafile=pem)


async def healthy(served: Served, trusting: ssl.SSLContext) -> bool:
    reader, writer = await asyncio.open_connection(*served.address, ssl=trusting)
    writer.write(HEALTH)
    async with asyncio.timeout(PATIENCE_S):
        found = (await reader.readuntil(b"ok\n")).startswith(b"HTTP/1.1 200 ")
    writer.close()
    return found


async def test_clients_that_do_not_end_the_handshake_give_way(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], logged: Callable[[], list[str]]
) -> None:
    own, trusting = contexts
    async with serving(10, own) as served:
        silent = []
        for turn in range(60):
            silent.append(await asyncio.open_connection(*served.address))
            if turn % 2:
                silent[-1][1].write(b"\x16\x03\x01\x02\x00\x01")
            if turn % 10 == 0:
                assert await healthy(served, trusting)
            assert len(served.server.guarded) <= 10
        for _, writer in silent:
            writer.close()
    assert set(served.refused) == {"limit"}
    assert [line for line in logged() if "Traceback" in line] == []


async def test_a_handshake_has_a_deadline(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], logged: Callable[[], list[str]]
) -> None:
    async with serving(10, contexts[0]) as served:
        reader, writer = await asyncio.open_connection(*served.address)
        await until(lambda: len(served.server.guarded) == 1)
        served.now_s += MUCH_S
        async with asyncio.timeout(PATIENCE_S):
            assert await reader.read() == b""
        writer.close()
        assert served.refused == ["deadline"]
        assert await healthy(served, contexts[1])
    assert len([line for line in logged() if "a TLS handshake takes too long" in line]) == 1


async def test_what_is_not_tls_ends_in_a_line_and_without_a_traceback(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], logged: Callable[[], list[str]], caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(10, contexts[0]) as served:
        for sent in (HEALTH, b"\x16\x03\x01\x00\x02\x01\x00", b"\xff" * 100):
            await served.said(sent)
        (await asyncio.open_connection(*served.address))[1].close()
        await until(lambda: len(served.server.guarded) == 0)
        assert await healthy(served, contexts[1])
        assert set(served.refused) == {"unreadable"}
    assert len([line for line in logged() if "a TLS handshake failed" in line]) == 1
    assert [record for record in caplog.records if record.exc_info] == []


async def test_a_request_that_comes_with_the_end_of_the_handshake_is_answered(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    """The last message of the handshake and the request are one write, so the server reads both at once."""
    own, trusting = contexts
    async with serving(10, own) as served:
        reader, writer = await asyncio.open_connection(*served.address)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = trusting.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
        while True:
            try:
                client.do_handshake()
                break
            except ssl.SSLWantReadError:
                writer.write(outgoing.read())
                incoming.write(await reader.read(65_536))
        client.write(HEALTH)
        writer.write(outgoing.read())
        found = b""
        async with asyncio.timeout(PATIENCE_S):
            while not found.endswith(b"ok\n"):
                incoming.write(await reader.read(65_536))
                try:
                    found += client.read(65_536)
                except ssl.SSLWantReadError:
                    continue
        writer.close()


async def test_a_handshake_under_way_does_not_keep_the_server_from_ending(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(10, contexts[0]) as served:
        reader, writer = await asyncio.open_connection(*served.address)
        await until(lambda: len(served.server.guarded) == 1)
    async with asyncio.timeout(PATIENCE_S):
        assert await reader.read() == b""
    writer.close()
    assert not caplog.records, "it waits for nothing, and so gives up nothing"
