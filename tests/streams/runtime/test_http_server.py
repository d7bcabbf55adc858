"""Hostile clients of an HTTP port: slow, hanging and flooding; other clients are served all the same."""

import asyncio
import json
import resource
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress

import pytest
from served_app import HEALTH, MUCH_S, Served, serving, until

from helpers.patience import PATIENCE_S
from streams.runtime.http_connection import ConnectionLimits, ConnectionPhase
from streams.runtime.http_server import usual_limits

# Deadlines -----------------------------------------------------------------------------------------------------------


async def test_a_header_that_dribbles_in_is_refused_however_often_a_byte_comes(logged: Callable[[], list[str]]) -> None:
    async with serving() as served:
        for before in (b"", HEALTH):  # the first request, and one on a connection that was served before
            reader, writer = await asyncio.open_connection(*served.address)
            writer.write(before)
            answer = await reader.readuntil(b"ok\n") if before else b""
            writer.write(b"GET /healthz HTTP/1.1\r\nX: ")
            async with asyncio.timeout(PATIENCE_S):
                while not answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n"):
                    writer.write(b"x")
                    await asyncio.sleep(0.01)
                    served.now_s += 1
                    with suppress(TimeoutError, ConnectionError):
                        answer = await asyncio.wait_for(reader.read(1_000), 0.01)
            writer.close()
        assert await served.healthy()
        assert served.refused == ["deadline"] * 2
    [line] = logged()
    assert "waits too long" in line


async def test_a_connection_that_says_nothing_is_closed() -> None:
    async with serving() as served:
        assert await served.said(late=lambda each: each.phase is ConnectionPhase.HEADER) == b""


async def test_an_idle_connection_is_closed_and_not_before_its_time() -> None:
    async with serving() as served:
        assert (await served.said(HEALTH, lambda each: each.phase is ConnectionPhase.IDLE)).endswith(b"ok\n")
        reader, writer = await asyncio.open_connection(*served.address)
        for _ in range(3):
            writer.write(HEALTH)
            assert (await reader.readuntil(b"ok\n")).startswith(b"HTTP/1.1 200")
            await until(lambda: [each.phase for each in served.connections()] == [ConnectionPhase.IDLE])
            served.now_s += 0.9 * ConnectionLimits(1).idle_s
            await asyncio.sleep(0.02)
        writer.close()


@pytest.mark.parametrize("framing", [b"Content-Length: 10", b"Transfer-Encoding: chunked"])
async def test_a_body_that_does_not_come_is_refused(framing: bytes) -> None:
    async with serving() as served:
        sent = b"POST /body HTTP/1.1\r\nHost: x\r\n" + framing + b"\r\n\r\n"
        answer = await served.said(sent, lambda each: each.phase is ConnectionPhase.REQUEST)
        assert answer.startswith(b"HTTP/1.1 408 ")


async def test_an_unread_body_does_not_keep_the_connection() -> None:
    async with serving() as served:
        sent = b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nx"
        answer = await served.said(sent, lambda each: each.cycle is not None and each.cycle.response_complete)
        assert answer.endswith(b"ok\n")


async def test_a_client_that_does_not_read_the_answer_is_cut_off() -> None:
    async with serving() as served:
        _reader, writer = await asyncio.open_connection(*served.address, limit=1)
        writer.write(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        await until(lambda: any(each.flow.write_paused for each in served.connections()))
        served.now_s += MUCH_S
        await until(lambda: not served.connections() and not served.server.server_state.tasks)
        writer.close()


async def close(connections: Iterable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]) -> None:
    for _, writer in connections:
        writer.transport.abort()


# The limit -----------------------------------------------------------------------------------------------------------


async def test_a_prompt_request_is_served_however_many_connections_are_held_open(
    logged: Callable[[], list[str]],
) -> None:
    async with serving(connections=10) as served:
        held = asyncio.create_task(served.said(b"GET /held HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
        await until(lambda: served.under_way == 1)
        silent = []
        for turn in range(120):
            silent.append(await asyncio.open_connection(*served.address))
            if turn % 2:
                silent[-1][1].write(b"GET /healthz HT")
            if turn % 10 == 0:
                assert await served.healthy()
            assert len(served.server.guarded) <= 10
        assert len(served.server.server_state.connections) <= 20, "closed ones are let go of"
        served.hold.set()
        assert (await held).endswith(b"held\n"), "a request under way is not given up"
        assert set(served.refused) == {"limit"}
        assert len(served.refused) >= 120 - 10, "each that gave way is counted"
        for _, writer in silent:
            writer.close()
    assert [line for line in logged() if "too many HTTP connections" in line][1:] == []


async def test_an_answered_request_whose_body_does_not_come_gives_way() -> None:
    async with serving(connections=3) as served:
        strangers = [await asyncio.open_connection(*served.address) for _ in range(3)]
        for _ in range(10):
            reader, writer = await asyncio.open_connection(*served.address)
            strangers.append((reader, writer))
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nx")
            assert (await reader.readuntil(b"ok\n")).startswith(b"HTTP/1.1 200")
        assert await served.healthy()
        assert set(served.refused) == {"limit"}
        for _, writer in strangers:
            writer.close()


async def test_a_body_that_does_not_come_gives_way_once_none_waits_for_a_request() -> None:
    began = b"POST /body HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 10\r\n\r\n12345"
    async with serving(connections=3) as served:
        reader, writer = await asyncio.open_connection(*served.address)
        writer.write(began)
        await until(lambda: [each.phase for each in served.connections()] == [ConnectionPhase.REQUEST])
        strangers = [await asyncio.open_connection(*served.address) for _ in range(20)]
        assert await served.healthy()
        writer.write(b"67890")
        assert (await reader.read()).endswith(b"\r\n\r\n10\n"), "those that sent nothing gave way first"
        writer.close()
        for _ in range(20):
            strangers.append(await asyncio.open_connection(*served.address))
            strangers[-1][1].write(began)
            assert await served.healthy()
        assert set(served.refused) == {"limit"}
        await close(strangers)


async def test_a_client_that_does_not_read_gives_way() -> None:
    async with serving(connections=3) as served:
        strangers = []
        for _ in range(6):
            strangers.append(await asyncio.open_connection(*served.address, limit=1))
            strangers[-1][1].write(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
            await until(lambda: all(each.flow.write_paused for each in served.connections()))
            assert await served.healthy()
        assert set(served.refused) == {"limit"}
        await close(strangers)


async def test_where_all_are_being_served_a_new_one_is_asked_to_try_again() -> None:
    async with serving(connections=3) as served:
        asked = [asyncio.create_task(served.said(HEALTH.replace(b"healthz", b"held"))) for _ in range(3)]
        await until(lambda: served.under_way == 3)
        answer = await served.said()
        assert answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        assert served.refused == ["limit"]
        for task in asked:
            task.cancel()
        await asyncio.wait(asked)


@pytest.mark.parametrize(
    "sent",
    [b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345", b"GET /held HTTP/1.1\r\nHost: x\r\n\r\n"],
    ids=["its body does not come", "what it waits for does not come"],
)
async def test_a_request_that_is_not_answered_when_the_server_ends_may_be_sent_again(
    sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """A 500 would say that the server has a fault, and that to repeat the request does not help."""
    served = Served(ConnectionLimits(connections=100))
    served.server.config.timeout_graceful_shutdown = 0  # in place of five seconds
    serving = asyncio.create_task(served.server.serve([served.listening]))
    asking = asyncio.create_task(served.said(sent))
    await until(lambda: any(each.phase is ConnectionPhase.REQUEST for each in served.connections()))
    served.server.should_exit = True
    head, _, body = (await asking).partition(b"\r\n\r\n")
    await serving
    assert head.startswith(b"HTTP/1.1 503 "), head
    assert b"\r\ncontent-type: application/problem+json" in head
    assert b"\r\nretry-after: 1" in head
    assert json.loads(body)["detail"] == "the server stops; send the request again"
    assert [record for record in caplog.records if record.exc_info] == []


def test_the_limit_leaves_descriptors_for_everything_else() -> None:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert 16 <= usual_limits().connections <= max(16, soft // 2)


STARVED = """
import asyncio, resource, sys
from prometheus_client import CollectorRegistry
from streams.consumers.service import pages_app
from streams.runtime.http_connection import ConnectionLimits
from streams.runtime.http_server import HttpServer, listen
from streams.runtime.logging import set_up_logs

set_up_logs("json")
listening = listen("127.0.0.1", 0)
print(listening.getsockname()[1], flush=True)
server = HttpServer(pages_app(CollectorRegistry(), lambda: None), ConnectionLimits(connections=1_000))
resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
asyncio.run(server.serve([listening]))
"""


def test_a_process_without_descriptors_logs_a_line_and_serves_once_it_has_some() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", STARVED], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        address = ("127.0.0.1", int(process.stdout.readline()))
        open_ = [socket.create_connection(address) for _ in range(60)]
        line = json.loads(process.stderr.readline())
        assert (line["level"], line["event"]) == ("warning", "no HTTP connection can be accepted")
        for each in open_:
            each.close()
        with socket.create_connection(address, timeout=PATIENCE_S) as late:
            late.sendall(HEALTH)
            assert late.recv(1_000).startswith(b"HTTP/1.1 200")
    finally:
        process.kill()
        rest = process.communicate()[1]
    assert rest == ""
