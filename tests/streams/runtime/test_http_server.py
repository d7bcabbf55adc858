"""Hostile clients of an HTTP port: slow, hanging, flooding and malformed; other clients are served all the same."""

import asyncio
import json
import logging
import random
import resource
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

import pytest
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from helpers.patience import PATIENCE_S
from streams.consumers.notify.webhook_receiver import listening
from streams.consumers.service import host, pages_app
from streams.dev.kafka_node import free_ports
from streams.runtime.http_connection import Connection, ConnectionLimits, ConnectionPhase
from streams.runtime.http_server import HttpServer, listen, usual_limits
from streams.runtime.log_limiter import LogLimiter
from streams.worker.app import PagesService

HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
MUCH_S = 1_000.0


class Served:
    """A server, and the requests that its application received."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self.now_s = 0.0
        self.hold = asyncio.Event()
        self.under_way = 0
        self.refused: list[str] = []
        routes = [
            Route("/healthz", self._healthz),
            Route("/held", self._held),
            Route("/body", self._body, methods=["POST"]),
            Route("/large", self._large),
        ]
        self.server = HttpServer(
            Starlette(routes=routes), limits, refused=self.refused.append, sweep_s=0.005, now_s=lambda: self.now_s
        )
        self.listening = listen("127.0.0.1", 0)
        self.address = self.listening.getsockname()

    async def _healthz(self, _: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def _held(self, _: Request) -> Response:
        self.under_way += 1
        await self.hold.wait()
        return PlainTextResponse("held\n")

    async def _body(self, request: Request) -> Response:
        return PlainTextResponse(f"{len(await request.body())}\n")

    async def _large(self, _: Request) -> Response:
        self.under_way += 1
        return Response(b"x" * 50_000_000)

    async def said(self, sent: bytes = b"", late: Callable[[Connection], bool] | None = None) -> bytes:
        """The whole answer to these bytes, until the server closes the connection. Time jumps once a connection is as
        ``late`` says.
        """
        reader, writer = await asyncio.open_connection(*self.address)
        try:
            writer.write(sent)
            async with asyncio.timeout(PATIENCE_S):
                if late is not None:
                    await until(lambda: any(late(each) for each in self.connections()))
                    self.now_s += MUCH_S
                return await reader.read()
        except ConnectionError:
            return b""
        finally:
            writer.close()

    def connections(self) -> list[Connection]:
        return [each for each in self.server.guarded if isinstance(each, Connection)]

    async def healthy(self) -> bool:
        return (await self.said(HEALTH.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))).endswith(b"ok\n")


@asynccontextmanager
async def serving(connections: int = 100) -> AsyncIterator[Served]:
    served = Served(ConnectionLimits(connections=connections))
    task = asyncio.create_task(served.server.serve([served.listening]))
    try:
        yield served
    finally:
        served.hold.set()
        served.server.should_exit = True
        await task


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():
            await asyncio.sleep(0.005)


@pytest.fixture
def logged(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """Our own log lines; no other logger may log above debug, which would be a traceback."""

    def lines() -> list[str]:
        assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
        out = capsys.readouterr()
        assert "Traceback" not in out.out + out.err
        return [line for line in out.out.splitlines() if "warning" in line]

    return lines


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


# Malformed requests --------------------------------------------------------------------------------------------------

RUBBISH = {
    b"GET /v1/refunds/13800138000 HTTP\r\n\r\n": 400,
    b"GET /healthz HTTP/1.1\r\n\r\n": 400,  # without a host
    b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n": 400,
    b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n": 400,
    b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n": 400,
    b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n": 501,
    b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 40_000: 431,
    b"POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n": 400,
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03": 400,
    b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 65537\r\n\r\n": 413,
    b"POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    + 9 * (b"2000\r\n" + 8192 * b"x" + b"\r\n"): 413,
}


async def test_what_cannot_be_read_is_refused_in_a_line_and_without_a_traceback(
    logged: Callable[[], list[str]],
) -> None:
    async with serving() as served:
        for _ in range(3):
            for sent, status in RUBBISH.items():
                answer = await served.said(sent)
                assert answer.startswith(b"HTTP/1.1 %d " % status), (sent[:60], answer)
                head, _, body = answer.partition(b"\r\n\r\n")
                assert b"content-type: application/problem+json" in head.lower()
                assert json.loads(body)["status"] == status
        assert await served.healthy()
        unreadable = sum(status != 413 for status in RUBBISH.values())
        assert served.refused == ["unreadable"] * 3 * unreadable
    [line] = logged()
    assert "cannot be read is refused" in line
    assert "138" not in line


async def test_rubbish_behind_a_request_that_is_being_served_ends_both_and_nothing_else(
    logged: Callable[[], list[str]],
) -> None:
    async with serving() as served:
        for body in (b"ZZ\r\n", b"5\r\nhello\r\nZZ\r\n"):
            await served.said(b"POST /held HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
            await served.said(b"GET /held HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
        served.hold.set()
        await until(lambda: not served.server.server_state.tasks)
        pipelined = await served.said(HEALTH + HEALTH + b"GET\r\n\r\n")
        assert pipelined.count(b"ok\n") == 2
        assert b"HTTP/1.1 400 " in pipelined
        upgrade = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: upgrade, close\r\nUpgrade: websocket\r\n\r\n"
        assert (await served.said(upgrade)).endswith(b"ok\n")
        assert await served.healthy()
    logged()


async def test_whatever_bytes_come_others_are_served(logged: Callable[[], list[str]]) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    rng = random.Random(seed)
    parts = [*RUBBISH, HEALTH, b"\r\n", b"\0", b"Expect: 100-continue\r\n", b"Connection: close\r\n", b"0\r\n\r\n"]
    async with serving() as served:
        served.hold.set()
        for _ in range(60):
            sent = bytearray(b"".join(rng.choices(parts, k=rng.randint(1, 4))))
            for _ in range(rng.choice((0, 0, 1, 5))):
                sent[rng.randrange(len(sent))] = rng.randrange(256)
            asked = asyncio.create_task(served.said(bytes(sent)))
            while not asked.done():
                await asyncio.sleep(0.02)
                served.now_s += 5
            await asked
        assert await served.healthy()
        served.now_s += MUCH_S
        await until(lambda: not served.connections())
    logged()


def test_lines_of_a_kind_are_a_minute_apart_and_say_how_many_were_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    now_s = 1_000.0
    log = LogLimiter(lambda: now_s)
    for _ in range(1_000):
        log.warn("one", n=1)
    log.warn("two")
    now_s += 60
    log.warn("one", n=2)
    lines = capsys.readouterr().out.splitlines()
    assert ["left_out=999" in line for line in lines] == [False, False, True]


# All pages -----------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def consumers_pages(port: int) -> AsyncIterator[None]:
    registry = CollectorRegistry()
    app = pages_app(registry, lambda: None)
    task = asyncio.create_task(host([], app, ("127.0.0.1", port), "X", 20, registry))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


@asynccontextmanager
async def workers_pages(port: int) -> AsyncIterator[None]:
    service = PagesService(Starlette(), "127.0.0.1", port, CollectorRegistry())
    await service.start()
    try:
        yield
    finally:
        await service.stop()


@asynccontextmanager
async def webhooks_receiver(port: int) -> AsyncIterator[None]:
    async with listening(port, "a secret of ours", lambda _: None):
        yield


@pytest.mark.parametrize("pages", [consumers_pages, workers_pages, webhooks_receiver])
async def test_no_answer_waits_for_a_delayed_acknowledgement(
    pages: Callable[[int], AbstractAsyncContextManager[None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nagle's algorithm would cause it: 44 ms for each answer on a keep-alive connection."""
    accepted: list[socket.socket] = []
    made = Connection.connection_made

    def noted(self: Connection, transport: asyncio.Transport) -> None:
        accepted.append(transport.get_extra_info("socket"))
        made(self, transport)

    monkeypatch.setattr(Connection, "connection_made", noted)
    [port] = free_ports(1)
    async with pages(port):
        async with asyncio.timeout(PATIENCE_S):
            while True:
                with suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    break
                await asyncio.sleep(0.01)
        await until(lambda: bool(accepted))
        assert accepted[0].getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        writer.close()
        await writer.wait_closed()
