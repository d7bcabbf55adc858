"""Malformed requests: each is refused with a reason and a log line, and other clients are served all the same."""

import asyncio
import json
import random
from collections.abc import Callable

from served_app import HEALTH, MUCH_S, serving, until

RUBBISH = {
    b"GET /v1/refunds/13800138000 HTTP\r\n\r\n": 400,
    b"GET /healthz HTTP/1.1\r\n\r\n": 400,  # without a host
    b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n": 400,
    b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n": 400,
    b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n": 400,
    b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n": 501,
    # A proxy that goes by the length would send what follows as another client's request.
    b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + HEALTH: 400,
    b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 40_000: 431,
    b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 16_400 + b"\r\n\r\n": 431,  # in one piece
    b"POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n": 400,
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03": 400,
    b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 65537\r\n\r\n": 413,
    b"POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    + 9 * (b"2000\r\n" + 8192 * b"x" + b"\r\n"): 413,
    # To parse them takes as much CPU time as a body of a megabyte.
    b"POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + 1_001 * b"1\r\nx\r\n": 400,
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


async def test_the_answer_says_what_was_expected(logged: Callable[[], list[str]]) -> None:
    head = b"POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
    async with serving() as served:
        for sent, detail in {
            head + b"Content-Length: 5\r\n\r\n": "Transfer-Encoding and Content-Length; expected one of them",
            head + b"X: " + b"x" * 16_400 + b"\r\n\r\n": "expected a header of at most 16,384 bytes",
            head + b"\r\n" + 1_001 * b"1\r\nx\r\n": "expected chunks of 64 bytes or more on average",
        }.items():
            answer = json.loads((await served.said(sent)).partition(b"\r\n\r\n")[2])
            assert answer["detail"].startswith("the request cannot be read: ")
            assert answer["detail"].endswith(detail)
    logged()


async def test_chunks_of_the_size_that_clients_send_are_read() -> None:
    for chunks, size in ((1_000, 1), (1_000, 64)):
        body = chunks * (b"%x\r\n" % size + size * b"x" + b"\r\n") + b"0\r\n\r\n"
        head = b"POST /body HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        async with serving() as served:
            assert (await served.said(head + body)).endswith(b"\r\n\r\n%d\n" % (chunks * size))


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


async def test_a_target_that_is_a_whole_url_is_that_of_its_path() -> None:
    async with serving() as served:
        for url in (b"http://x:1/healthz", b"HTTPS://x/healthz?a=/b"):
            answer = await served.said(
                HEALTH.replace(b"/healthz", url).replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
            )
            assert answer.endswith(b"ok\n"), url
        for url in (b"http://x", b"http://x/", b"/http://x/healthz"):
            answer = await served.said(
                HEALTH.replace(b"/healthz", url).replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
            )
            assert answer.startswith(b"HTTP/1.1 404 "), url
