"""What one token uses up leaves room for the others: memory for bodies, and idempotency keys."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

from ingest_service import JSON, NARROW, NOW_MS, TOKEN, MemoryTopics, Served, call, serving

from helpers.patience import PATIENCE_S
from monitor.text.durations import DAY, HOUR
from streams.ingest.http.answer import IngestAnswer
from streams.ingest.http.keys.key_log import Answered, Claim, KeyLog, digest
from streams.kafka.api import TP, FetchedBatch

HEAD = (
    f"POST /v1/records HTTP/1.1\r\nHost: ingest\r\nAuthorization: Bearer {TOKEN}\r\n"
    "Content-Type: application/json\r\nContent-Length: 8000000\r\n\r\n"
).encode()


async def keyed(service: Served, number: int, token: str = TOKEN) -> tuple[int, str]:
    status, answer = await service.post([call(number)], JSON | {"Idempotency-Key": f"k-{number}"}, token)
    return status, answer.get("detail", "")


async def test_bodies_of_one_token_that_do_not_end_leave_memory_to_the_others(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        writers = []
        for _ in range(12):
            _, writer = await asyncio.open_connection("127.0.0.1", service.port)
            writer.write(HEAD + b"[" * 7_900_000)
            writers.append(writer)
        async with asyncio.timeout(PATIENCE_S):
            while await service.metric("callwarden_ingest_held_bytes") < 40_000_000:
                await asyncio.sleep(0.05)
        status, answer = await service.post([call(1, source="x" * 2_000) for _ in range(1_800)])
        assert (status, "the requests of this token under way hold" in answer["detail"]) == (503, True)
        other = [call(number, source="x" * 2_000) for number in range(1_800)]
        assert (await service.post(other, token=NARROW))[0] == 202
        for writer in writers:
            writer.transport.abort()


async def test_keys_of_one_token_leave_some_to_the_others(tmp_path: Path) -> None:
    topics = MemoryTopics()
    async with serving(tmp_path, topics, ingest_max_keys=18) as service:
        assert [(await keyed(service, number))[0] for number in range(17)] == [202] * 17
        status, detail = await keyed(service, 17)
        assert (status, "this token has 17 idempotency keys of the past day, and 1 are left" in detail) == (503, True)
        assert (await keyed(service, 3))[0] == 202, "a key that is known"
        assert (await service.post([call(99)]))[0] == 202, "a request without a key"
    async with serving(tmp_path, topics, ingest_max_keys=18) as service:
        assert (await keyed(service, 17))[0] == 503, "after a restart, too"
        assert (await keyed(service, 17, NARROW))[0] == 202
        status, detail = await keyed(service, 18, NARROW)
        assert (status, "as many as may be; retry later, or ask for a larger limit" in detail) == (503, True)
    async with serving(tmp_path, topics, ingest_max_keys=100) as service:
        assert (await keyed(service, 18))[0] == 202


class SlowAnswers(MemoryTopics):
    """It takes a while to read a stored answer."""

    async def read(self, tp: TP, start: int, stop: int) -> AsyncIterator[FetchedBatch]:
        await asyncio.sleep(0.02)
        async for each in super().read(tp, start, stop):
            yield each


async def test_many_repeated_requests_are_answered_and_those_of_one_token_delay_no_other(tmp_path: Path) -> None:
    body, key = [call(1), {}], JSON | {"Idempotency-Key": "k"}  # an answer with a rejection is stored
    async with serving(tmp_path, SlowAnswers()) as service:
        for token in (TOKEN, NARROW):
            assert (await service.post(body, key, token))[0] == 202
        ended: list[str] = []

        async def repeat(token: str) -> int:
            status, _ = await service.post(body, key, token)
            ended.append(token)
            return status

        asked = [asyncio.create_task(repeat(TOKEN)) for _ in range(40)]
        await asyncio.sleep(0.05)
        asked.append(asyncio.create_task(repeat(NARROW)))
        assert set(await asyncio.gather(*asked)) == {202}
        assert ended.index(NARROW) < 35, "it waits for none of the others"


def test_an_owner_has_the_keys_that_it_holds_or_that_are_answered_until_they_are_forgotten() -> None:
    log, answer = KeyLog(), IngestAnswer(1, 1, 0)
    one, two = digest(b"1"), digest(b"2")

    def apply(key: str, record: Claim | Answered, at_ms: int) -> None:
        log.apply(key, record, (0, 0), at_ms, time.monotonic())

    apply(one, Claim(digest(b"b"), "c-1", ("w",), None, "a"), NOW_MS)
    apply(two, Claim(digest(b"b"), "c-2", ("w",)), NOW_MS)
    assert (log.count_of("a"), log.count_of(""), len(log)) == (1, 1, 2)
    apply(one, Claim(digest(b"b"), "c-3", ("w", "v"), "c-1", "b"), NOW_MS)
    assert (log.count_of("a"), log.count_of("b"), len(log)) == (0, 1, 2)
    apply(one, Answered(digest(b"b"), "c-3", answer, "b"), NOW_MS)
    apply(one, Answered(digest(b"b"), "c-3", answer, "b"), NOW_MS)
    assert (log.count_of("b"), len(log)) == (1, 2)
    apply(digest(b"3"), Claim(digest(b"b"), "c-4", ("w",), None, "a"), NOW_MS + DAY + 12 * HOUR)
    assert (log.count_of("a"), log.count_of("b"), log.count_of(""), len(log)) == (1, 0, 0, 1)
