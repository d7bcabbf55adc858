"""Fetching in columns returns what aiokafka returns record by record, and other versions of aiokafka are refused."""

import random

import aiokafka
import pytest
from aiokafka.consumer import fetcher
from aiokafka.record.memory_records import MemoryRecords
from wire_log import TP, Log, position, result_of

from streams.kafka import aiokafka_private
from streams.kafka.api import PermanentError
from streams.kafka.fetch import columnar_fetch as fastfetch
from streams.kafka.fetch.record_columns import RecordColumns, WantedHeaders, columns

pytestmark = pytest.mark.usefixtures("columnar_fetch")


def drained(log: Log, start: int, cuts: list[int | None], *, fast: bool, committed: bool) -> list[object]:
    """The result of each call, and the position after it; then whether anything is left."""
    result = result_of(log, start, fast=fast, committed=committed)
    seen: list[object] = []
    for most in cuts:
        if not result.has_more():
            break
        taken = result.getall(most)
        if taken and isinstance(taken, list):
            taken = RecordColumns.of(taken, None, headers=WantedHeaders.NONE)
        fetched = columns(start, position(result), taken)
        rows = list(
            zip(fetched.offsets.tolist(), fetched.timestamps_ms.tolist(), fetched.keys, fetched.values, strict=True)
        )
        seen.append((rows, position(result), result.has_more()))
    return seen


def made(rng: random.Random) -> Log:
    log = Log()
    for _ in range(rng.randint(1, 12)):
        producer = rng.choice([-1, 7, 8])
        kind = rng.random()
        if kind < 0.6:
            gaps, appended_ms = rng if rng.random() < 0.3 else None, 5_000 if rng.random() < 0.5 else None
            log.batch(rng.choice([1, 3, 900]), producer=producer, gaps=gaps, appended_ms=appended_ms)
        elif producer in log.open_since:
            log.marker(producer, commit=rng.random() < 0.5)
        elif producer >= 0:
            log.marker(producer, commit=False)  # of a transaction without records here
    return log


@pytest.mark.parametrize("seed", range(150))
async def test_columns_are_the_same_records_with_the_same_positions(seed: int) -> None:
    print("seed", seed)
    rng = random.Random(seed)
    log = made(rng)
    start = rng.randint(0, max(log.end - 1, 0))
    cuts = [rng.choice([1, 2, 400, 401, 1000, None]) for _ in range(12)] + [None, None]
    for committed in (False, True):
        as_always = drained(log, start, cuts, fast=False, committed=committed)
        assert drained(log, start, cuts, fast=True, committed=committed) == as_always


async def test_what_came_of_a_pause_or_a_seek_is_let_go() -> None:
    log = Log()
    log.batch(1000)
    for change in ("pause", "seek"):
        result = result_of(log, 0, fast=True, committed=True)
        assert len(result.getall(10)) == 10
        state = result._assignment.state_value(TP)
        state.pause() if change == "pause" else state.seek(500)
        assert len(result.getall(10)) == 0
        assert not result.has_more()
        assert position(result) == (10 if change == "pause" else 500)


async def test_a_torn_batch_is_an_error_once_all_before_it_was_given() -> None:
    log = Log()
    log.batch(3)
    log.batch(3, torn=True)
    result = result_of(log, 0, fast=True, committed=True, check=True)
    assert columns(0, 3, result.getall()).offsets.tolist() == [0, 1, 2]
    # The rest of the fetch is dropped, and fetched again from here.
    assert (position(result), result.has_more()) == (3, False)
    again = result_of(log, 3, fast=True, committed=True, check=True)
    with pytest.raises(fastfetch.CorruptBatch) as torn:
        again.getall()
    assert (torn.value.tp, torn.value.offset, torn.value.last) == (TP, 3, 5)
    assert position(again) == 3


async def test_a_batch_whose_checksum_is_right_and_whose_records_are_not_is_one_unreadable_row() -> None:
    log = Log()
    log.batch(3)
    log.garbage()
    result = result_of(log, 3, fast=True, committed=True, check=True)
    fetched = columns(3, 4, result.getall())
    assert (fetched.offsets.tolist(), position(result)) == ([3], 4)
    assert fetched.unreadable[3].reason.startswith("malformed_batch: the record batch of offsets 3 to 3: ")


async def test_other_peoples_consumers_are_left_alone() -> None:
    log = Log()
    log.batch(2)
    assert isinstance(result_of(log, 0, fast=False, committed=True).getall(), list)


def test_another_aiokafka_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetcher.FetchResult, "getall", aiokafka_private._original_getall)
    monkeypatch.setattr(fetcher, "MemoryRecords", MemoryRecords)
    with monkeypatch.context() as newer:
        newer.setattr(aiokafka, "__version__", "0.15.1")
        with pytest.raises(PermanentError, match=r"^aiokafka 0.15.1 is unknown: .* expected 0.14.\*"):
            fastfetch.install_columnar_fetch()
    with monkeypatch.context() as changed:
        changed.delattr(fetcher.PartitionRecords, "_consume_aborted_up_to")
        with pytest.raises(PermanentError, match=r"has no PartitionRecords\._consume_aborted_up_to: "):
            fastfetch.install_columnar_fetch()
    assert fetcher.FetchResult.getall is aiokafka_private._original_getall
    fastfetch.install_columnar_fetch()
