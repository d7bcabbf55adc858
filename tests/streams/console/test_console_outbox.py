"""The outbox: each record is written once, wherever the process is stopped."""

import asyncio
import random
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection

from helpers.console_harness import ConsoleHarness, console_at, topics
from oracle.ledger import review
from schemas import codec
from streams.console import outbox
from streams.console.tables import OUTBOX
from streams.kafka.api import TransientError


def record(number: int) -> tuple[bytes, bytes]:
    return b"acme", codec.encode(review(f"r-{number}", "cwe-p"))


async def add(console: ConsoleHarness, number: int, not_before_ms: int = 0) -> None:
    key, value = record(number)
    headers = (("callwarden-signature", b"li:AA=="),)
    await console.database.run(lambda connection: outbox.add(connection, "reviews", key, value, not_before_ms, headers))


def values(console: ConsoleHarness) -> list[bytes | None]:
    return [value for tp, log in console.held.logs.items() if tp.topic.endswith("reviews") for value in log]


async def test_a_record_is_written_once_with_its_headers(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console:
        await add(console, 1)
        assert await console.send() == 1
        assert await console.send() == 0
        [out] = console.written
        assert (out.topic, out.key, out.value) == ("callwarden.reviews", *record(1))
        assert out.headers == (("callwarden-signature", b"li:AA=="),)
        assert console.rows(OUTBOX)[0]["sent_ms"] == console.now_ms


async def test_a_record_waits_for_its_time(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console:
        await add(console, 1, console.now_ms + 30_000)
        assert await console.send() == 0
        console.now_ms += 30_000
        assert await console.send() == 1


async def test_an_unknown_outcome_is_looked_up_in_the_topic(tmp_path: Path) -> None:
    held = topics()
    async with console_at(tmp_path, held) as console:
        await add(console, 1)
        console.writer.fail = iter(["after"])
        with pytest.raises(TransientError):
            await console.send()
        assert console.rows(OUTBOX)[0]["sent_ms"] is None
    async with console_at(tmp_path, held) as console:  # the process was killed
        await console.follow()
        assert await console.send() == 0
        assert console.rows(OUTBOX)[0]["sent_ms"] is not None
        assert values(console) == [record(1)[1]]


async def test_random_failures_and_kills_lose_and_repeat_nothing(tmp_path: Path) -> None:
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")
    rng, held, number = random.Random(seed), topics(), 0
    for _ in range(12):
        async with console_at(tmp_path, held) as console:
            await console.follow()
            for _ in range(rng.randrange(3)):
                number += 1
                await add(console, number)
            console.writer.fail = iter([rng.choice(["before", "after", ""]) for _ in range(3)])
            try:
                await console.send()
            except TransientError:
                continue
    async with console_at(tmp_path, held) as console:
        await console.follow()
        await console.send()
        assert sorted(map(bytes, filter(None, values(console)))) == sorted(record(n + 1)[1] for n in range(number))


async def test_two_processes_on_one_database_write_each_record_once(tmp_path: Path) -> None:
    held = topics()
    async with console_at(tmp_path, held) as one, console_at(tmp_path, held) as other:
        await one.follow()
        await other.follow()
        for number in range(6):
            await add(one, number)
        await asyncio.gather(one.send(), other.send())
        assert len(values(one)) == 6


async def test_written_records_are_forgotten_in_time_and_waiting_ones_never(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console:
        await add(console, 1)
        await console.send()
        await add(console, 2, console.now_ms + 10 * outbox.KEEP_MS)

        def forget(connection: Connection) -> int:
            return outbox.forget(connection, console.now_ms)

        console.now_ms += outbox.KEEP_MS
        assert await console.database.run(forget) == 0
        console.now_ms += 1
        assert await console.database.run(forget) == 1
        [left] = console.rows(OUTBOX)
        assert left["value"] == record(2)[1]
        await console.follow()
        assert await console.send() == 0
        assert len(values(console)) == 1


async def test_a_command_goes_to_the_partition_that_its_key_names(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console:
        for number in (1, 0):
            key = str(number).encode()
            await console.database.run(partial(outbox.add, topic="control", key=key, value=b"{}"))
        assert await console.send() == 2
        assert [(out.topic, out.partition) for out in console.written] == [
            ("callwarden.control", 1),
            ("callwarden.control", 0),
        ]


async def test_large_records_are_written_some_at_a_time(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console:
        for number in range(3):
            value = bytes([number]) * (5 << 20)
            await console.database.run(partial(outbox.add, topic="control", key=b"0", value=value))
        assert [await console.sender.send_due() for _ in range(4)] == [1, 1, 1, 0]
