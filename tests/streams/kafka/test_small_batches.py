"""Small record batches are taken apart together: the same records as one by one, at a cost that grows with them."""

import random
import sys
from collections.abc import Callable
from types import FrameType

import pytest
from aiokafka.record.default_records import DefaultRecordBatch
from wire_log import Log, position, result_of

from helpers.thorough import thorough
from monitor.byte_rows import ByteRows
from streams.kafka.fetch import columnar_fetch as fastfetch
from streams.kafka.fetch import native
from streams.kafka.fetch.record_columns import columns

CODECS = (
    0,
    DefaultRecordBatch.CODEC_GZIP,
    DefaultRecordBatch.CODEC_SNAPPY,
    DefaultRecordBatch.CODEC_LZ4,
    DefaultRecordBatch.CODEC_ZSTD,
)


@pytest.fixture(autouse=True)
def installed(columnar_fetch: None) -> None:
    if not native.built():
        pytest.skip("the extension is not built, as is allowed where no compiler is; only with it are batches joined")


def made(rng: random.Random) -> Log:
    """A log of many small batches, and some of each other kind between them."""
    log = Log()
    for _ in range(rng.randint(1, 60)):
        producer, kind = rng.choice([-1, -1, 7]), rng.random()
        if kind < 0.8:
            log.batch(
                rng.choice([1, 1, 2, 30, 1_100]) if kind < 0.1 else 1,
                producer=producer,
                gaps=rng if rng.random() < 0.1 else None,
                codec=rng.choice(CODECS),
                torn=rng.random() < 0.02,
                appended_ms=5_000 if rng.random() < 0.2 else None,
            )
        elif kind < 0.85:
            log.garbage()
        elif producer in log.open_since:
            log.marker(producer, commit=rng.random() < 0.5)
    return log


def drained(log: Log, start: int, cuts: list[int | None], most_bytes: int) -> list[object]:
    """What each call returns, and the position after it."""
    result = result_of(log, start, fast=True, committed=True, check=True)
    seen: list[object] = []
    for most in cuts:
        if not result.has_more():
            break
        before = position(result)
        try:
            with fastfetch.bounded(most_bytes):
                taken = result.getall(most)
        except fastfetch.CorruptBatch as torn:
            return [*seen, (torn.offset, torn.why, torn.last)]
        got = columns(before, position(result), taken)
        rows = zip(got.offsets.tolist(), got.timestamps_ms.tolist(), got.keys, got.values, strict=True)
        seen.append((list(rows), got.unreadable, position(result), result.has_more()))
    return seen


@pytest.mark.parametrize("seed", thorough(range(300), 60))
async def test_the_records_are_those_of_batches_that_are_read_alone(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    print("seed", seed)
    rng = random.Random(seed)
    log = made(rng)
    start = rng.randint(0, max(log.end - 1, 0))
    cuts = [rng.choice([1, 2, 40, None]) for _ in range(10)] + [None] * 200
    most_bytes = rng.choice([1, 20_000, 1 << 20])
    joined = drained(log, start, cuts, most_bytes)
    monkeypatch.setattr(fastfetch, "is_small", lambda batch, wanted: False)
    alone = drained(log, start, cuts, most_bytes)
    if most_bytes == 1 << 20:
        assert joined == alone
    else:  # both stop at the limit, each after its last batch
        assert rows_of(joined) == rows_of(alone)


def rows_of(seen: list[object]) -> list[object]:
    """The rows of all calls, and the unreadable ones; then the error, if there was one."""
    rows: list[object] = []
    for one in seen:
        if isinstance(one, tuple) and isinstance(one[0], list):
            rows += [(*row, one[1].get(row[0])) for row in one[0]]
        else:
            rows.append(one)
    return rows


async def test_a_poll_takes_only_some_of_very_many_small_batches() -> None:
    """Each takes a few microseconds, and a poll is one step of the event loop."""
    log = Log()
    for _ in range(3_000):
        log.batch(1)
    result, polls = result_of(log, 0, fast=True, committed=True), list[int]()
    while result.has_more():
        with fastfetch.bounded():
            polls.append(len(result.getall(None)))
    assert max(polls) <= 2_048
    assert sum(polls) == 3_000


async def test_small_batches_become_one_block() -> None:
    log = Log()
    for _ in range(500):
        log.batch(1)
    values = result_of(log, 0, fast=True, committed=True).getall(None).values
    assert isinstance(values, ByteRows)
    assert len(values.blocks) == 1


def calls(work: Callable[[], object]) -> int:
    """How many calls of functions, in Python or C, ``work`` takes."""
    count = 0

    def counted(_: FrameType, event: str, __: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(counted)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("kind", ["small", "rejected", "alone"])
async def test_twice_the_batches_take_twice_the_work(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not four times: a producer chooses how many batches it makes of its records."""
    if kind == "alone":
        monkeypatch.setattr(fastfetch, "is_small", lambda batch, wanted: False)

    def work_of(count: int) -> int:
        log = Log()
        for number in range(count):
            log.garbage() if kind == "rejected" and number % 2 else log.batch(1)
        result = result_of(log, 0, fast=True, committed=True)
        return calls(lambda: list(columns(0, count, result.getall(None)).values))

    once, twice = work_of(300), work_of(600)
    assert twice < 2.2 * once
