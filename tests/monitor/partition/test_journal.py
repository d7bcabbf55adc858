"""Journal entries take effect again at their offset, whenever the records are read again."""

import random
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
import pytest
from task_records import MINUTE, T0, calls_at, commit, event_time_of, new_task, rows, sources_of

from crash.broken import CLOCK_BEYOND_TIMESTAMP, ONE_ADVANCE_RECORDED, Change, broken
from helpers.thorough import thorough
from monitor.decoding.input_topics import INPUTS
from monitor.partition.checkpoint import DecidingSettings, MismatchError, PartitionIdentity
from monitor.partition.journal import (
    ClockAdvance,
    EnforceFrom,
    JournalEntry,
    MaxAheadChange,
    PolicyChange,
    SkippedRecord,
)
from monitor.partition.processing.task_output import TaskOutput
from monitor.partition.record_batch import RecordBatch
from monitor.partition.task import StreamTask
from monitor.text.timestamps import rfc3339


def outcome(taken: list[TaskOutput]) -> dict[str, Any]:
    return {
        "enforcement": sorted(msgspec.json.encode(e) for t in taken for e in t.output.enforcement),
        "late": sorted(late.raw for t in taken for late in t.late),
        "rejected": sorted((r.ref.source, r.ref.offset, r.reason) for t in taken for r in t.rejected),
        "read": sum(t.rows for t in taken),
        "duplicates": sum(t.duplicates for t in taken),
    }


@pytest.mark.parametrize("seed", thorough(range(30), 3))
def test_moves_limits_and_skips_take_effect_again(seed: int) -> None:
    policy, sources, not_after_ms = sources_of(seed)
    rng = random.Random(seed)
    print(f"seed {seed}")
    live = DecidingSettings(max_ahead_ms=0)
    # Every other partition decides only from some point on; its successor gets other arguments.
    times = sorted(at_ms for line in sources[0] if isinstance(at_ms := event_time_of(line), int))
    from_ms = times[len(times) // 3] if seed % 2 and times else 0
    partition = StreamTask(policy, live=live, enforce_from_ms=from_ms)
    stored: dict[str, bytes] = {}
    kept: list[TaskOutput] = []
    committed = [0] * len(INPUTS)
    moved = restarts = 0

    def feed(source: int, stop: int) -> None:
        partition.feed(source, rows(sources[source], partition.sources.offsets[source], stop, not_after_ms))

    while any(at < len(lines) for at, lines in zip(partition.sources.offsets, sources, strict=True)):
        source = rng.randrange(len(INPUTS))
        at, end = partition.sources.offsets[source], len(sources[source])
        if at < end:
            feed(source, min(end, at + rng.choice((1, 3, 20))))
        if rng.random() < 0.3:
            clock_ms = max(partition.sources.clocks_ms)
            moved += partition.sources.move(source, clock_ms - rng.randrange(600_000))
        if rng.random() < 0.1 and partition.sources.offsets[source] + 3 < end:
            partition.sources.skip(source, partition.sources.offsets[source] + rng.randrange(3), "a test's whim")
        if rng.random() < 0.4:
            partition.advance()
            kept.append(partition.take())
            for key, value in partition.snapshot():
                stored.pop(key, None)
                if value is not None:
                    stored[key] = value
            committed = partition.sources.offsets
        if rng.random() < 0.08 and stored:
            restarts += 1
            live = DecidingSettings(max_ahead_ms=rng.choice((0, 0, 1_000)))
            partition = StreamTask(policy, live=live, enforce_from_ms=rng.choice((0, from_ms + 1)))
            partition.restore(stored)
            assert partition.enforce_from_ms == from_ms
            for number in rng.sample(range(len(INPUTS)), len(INPUTS)):
                while partition.sources.offsets[number] < committed[number]:
                    feed(number, min(committed[number], partition.sources.offsets[number] + rng.choice((1, 5, 100))))
    partition.advance()
    kept.append(partition.take())

    entries: dict[int | None, list[JournalEntry]] = {}
    for taken in kept:
        for source, entry in taken.journal:
            entries.setdefault(source, []).append(entry)
    assert [type(entry) for entry in entries[None]] == [EnforceFrom] * (from_ms > 0) + [PolicyChange]
    judge = StreamTask(policy, live=DecidingSettings(max_ahead_ms=0), enforce_from_ms=rng.choice((0, from_ms + 1)))
    for source, recorded in entries.items():
        judge.recall(source, recorded)
    for source, lines in enumerate(sources):
        judge.feed(source, rows(lines, 0, len(lines), not_after_ms))
    judge.advance()
    assert outcome(kept) == outcome([judge.take()])
    assert judge.watermark.ms == partition.watermark.ms
    assert moved > 0
    assert all(event.data.decided_ms >= from_ms for taken in kept for event in taken.output.enforcement)
    kinds = {type(entry) for recorded in entries.values() for entry in recorded}
    assert kinds >= {ClockAdvance, MaxAheadChange}
    assert SkippedRecord in kinds or not any(r[2].startswith("skipped: ") for r in outcome(kept)["rejected"])


def test_a_record_that_was_read_cannot_be_skipped() -> None:
    policy, sources, not_after_ms = sources_of(1)
    partition = StreamTask(policy, live=DecidingSettings(max_ahead_ms=0))
    partition.feed(0, rows(sources[0], 0, 5, not_after_ms))
    assert partition.sources.skip(0, 4, "too late") == "the record at offset 4 was already read; expected 5 or later"
    assert partition.sources.skip(0, 5, "it is broken") is None
    partition.feed(0, rows(sources[0], 5, 7, not_after_ms))
    taken = partition.take()
    assert [(r.ref.offset, r.reason) for r in taken.rejected if r.ref.offset == 5] == [(5, "skipped: it is broken")]
    assert (0, SkippedRecord(5, "it is broken")) in taken.journal


def test_a_record_without_a_value_is_rejected() -> None:
    policy, _, _ = sources_of(1)
    partition = StreamTask(policy)
    partition.feed(0, RecordBatch(0, 3, np.arange(3), np.zeros(3, np.int64), [None, b"", b"  "], [b"k", None, b"k"]))
    rejected = partition.take().rejected
    assert [r.ref.offset for r in rejected] == [0, 1, 2]
    assert {r.reason for r in rejected} == {"no_value: the record has no value; expected a record as JSON"}
    assert [(r.key, r.raw) for r in rejected] == [(b"k", None), (None, b""), (b"k", b"  ")]


def test_a_clock_goes_no_further_than_the_records_timestamp() -> None:
    policy, sources, _ = sources_of(1)
    call = next(line for line in sources[0] if b'"cdr"' in line and isinstance(event_time_of(line), int))
    event_ms = event_time_of(call)
    assert event_ms is not None
    partition = StreamTask(policy, live=DecidingSettings(max_ahead_ms=1_000))
    partition.feed(0, RecordBatch(0, 1, np.array([0]), np.array([event_ms - 500]), [call]))
    assert partition.sources.clocks_ms[0] == event_ms - 500
    partition.feed(0, RecordBatch(1, 2, np.array([1]), np.array([event_ms - 1_001]), [call]))
    (rejected,) = partition.take().rejected
    most, found = rfc3339(event_ms - 1), rfc3339(event_ms)
    assert rejected.reason == f"future_event: expected an event time of at most {most}, got {found}"
    # A producer chooses the timestamp: one that is no time of the calendar rejects its record alone.
    stamps = np.array([-(1 << 62), event_ms])
    partition.feed(0, RecordBatch(2, 4, np.array([2, 3]), stamps, [call, call]))
    (rejected,) = partition.take().rejected
    most_ms = 1_000 - (1 << 62)
    assert rejected.reason == f"future_event: expected an event time of at most {most_ms}, got {found}"


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"place": PartitionIdentity(1, 8)}, "written for 4 partitions, the topics have 8"),
        ({"place": PartitionIdentity(2, 4)}, "expected the state of partition 2, got that of partition 1"),
        ({"place": PartitionIdentity(1, 4, "crc32")}, "partitioner murmur2"),
        ({"place": PartitionIdentity(1, 4), "secret": b"another"}, "another secret"),
    ],
)
def test_a_state_of_other_circumstances_is_refused(other: dict[str, Any], words: str) -> None:
    policy, _, _ = sources_of(1)
    stored = {
        key: value for key, value in StreamTask(policy, place=PartitionIdentity(1, 4)).snapshot() if value is not None
    }
    with pytest.raises(MismatchError, match=words):
        StreamTask(policy, **other).restore(stored)


def test_a_state_keeps_its_policy_whatever_the_file_of_the_worker_says() -> None:
    policy, _, _ = sources_of(1)
    stored = {key: value for key, value in StreamTask(policy).snapshot() if value is not None}
    other = StreamTask(sources_of(2)[0])
    assert other.policy.sha256 != policy.sha256
    other.restore(stored)
    assert other.policy.sha256 == policy.sha256


@pytest.mark.parametrize("commits_first", [True, False])
def test_a_skip_of_a_record_that_is_read_again_puts_it_out_once(commits_first: bool) -> None:
    stored: dict[str, bytes] = {}
    first = new_task()
    first.feed(0, calls_at([T0, T0], 0, T0))
    commit(first, stored)
    rejected = []
    for skips in (True, False):  # and a crash after its output
        again = new_task()
        assert again.restore(stored)[0] == 0
        if skips:
            assert again.sources.skip(0, 1, "poison") is None
        if skips and commits_first:
            rejected += commit(again, stored).rejected
            again = new_task()
            again.restore(stored)
        again.feed(0, calls_at([T0, T0], 0, T0))
        rejected += commit(again, stored).rejected
    assert [one.reason for one in rejected] == ["skipped: poison"]


def test_the_clock_of_a_source_that_is_read_again_is_not_moved() -> None:
    """Its log may end just at its current offset; calls that were counted would be late, and not even be reported."""
    stored: dict[str, bytes] = {}
    first = new_task()
    first.feed(0, calls_at([T0], 0, T0))
    commit(first, stored)
    first.feed(0, calls_at([T0 - MINUTE // 2], 1, T0 + MINUTE))
    commit(first, stored)
    again = new_task()
    again.restore(stored)
    again.feed(0, calls_at([T0], 0, T0))
    assert not again.sources.idle(0, T0 + 60 * MINUTE, feed_current=True)
    again.feed(0, calls_at([T0 - MINUTE // 2], 1, T0 + MINUTE))
    assert len(again.shard.open_panes) == len(first.shard.open_panes) == 2
    assert again.sources.idle(0, T0 + 60 * MINUTE, feed_current=True)


def test_each_clock_advance_before_a_valid_record_is_recorded() -> None:
    """Although the clock has advanced since: the record between two advances is late by the first."""
    partition = new_task()
    partition.feed(0, calls_at([T0], 0, T0))
    for offset, at_ms in ((1, T0 + 60 * MINUTE), (2, T0 + 120 * MINUTE)):
        partition.sources.move(0, at_ms)
        partition.feed(0, calls_at([T0 + MINUTE], offset, at_ms))
    moves = [entry for _, entry in partition.sources.take() if isinstance(entry, ClockAdvance)]
    assert moves == [ClockAdvance(1, T0 + 60 * MINUTE), ClockAdvance(2, T0 + 120 * MINUTE)]


@pytest.mark.parametrize(
    ("changes", "test"),
    [
        (CLOCK_BEYOND_TIMESTAMP, test_a_clock_goes_no_further_than_the_records_timestamp),
        (ONE_ADVANCE_RECORDED, test_each_clock_advance_before_a_valid_record_is_recorded),
    ],
)
def test_mutations_that_random_schedules_rarely_show_are_found(
    changes: Sequence[Change], test: Callable[[], None]
) -> None:
    test()
    with broken(changes), pytest.raises(AssertionError):
        test()


def test_a_limit_of_before_a_loss_of_the_state_holds_where_it_did_and_the_new_one_from_then_on() -> None:
    log: list[tuple[int, JournalEntry]] = []
    first = new_task(max_ahead_ms=5 * MINUTE)
    first.feed(0, calls_at([T0, T0 + 4 * MINUTE], 0, T0))
    log += commit(first, {}).journal
    rebuilt = new_task(max_ahead_ms=MINUTE)
    rebuilt.recall(0, [entry for source, entry in log if source == 0], 2)
    judge = new_task()

    def feed(partition: StreamTask) -> int:
        partition.feed(0, calls_at([T0, T0 + 4 * MINUTE], 0, T0))
        partition.feed(0, calls_at([T0 + 4 * MINUTE], 2, T0 + MINUTE))
        return len(partition.take().rejected)

    taken = rebuilt.take()
    assert [entry for source, entry in taken.journal if source == 0] == [MaxAheadChange(2, MINUTE)]
    log += taken.journal
    judge.recall(0, [entry for source, entry in log if source == 0])
    assert feed(rebuilt) == feed(judge) == 1


def test_a_rescaled_state_contains_the_time_from_which_it_decides() -> None:
    """The clock log of the new topics does not contain it."""
    policy, _, _ = sources_of(1)
    stored = {key: value for key, value in StreamTask(policy, enforce_from_ms=T0).snapshot() if value is not None}
    partition = StreamTask(policy, replaying=True)
    partition.restore(stored)
    partition.recall(None, [])
    assert partition.enforce_from_ms == T0
    begun = StreamTask(policy, enforce_from_ms=T0)
    begun.recall(None, [])
    assert begun.enforce_from_ms == 0, "a log that does not tell is of a partition that was begun without"
