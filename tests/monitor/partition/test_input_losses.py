"""Lost input: what remains is read again and put out once; a log that was created again is read from its start."""

import numpy as np
import pytest
from task_records import MINUTE, T0, calls_at, commit, new_task, rows, sources_of

from crash.broken import CLOCK_AT_DONE_LOST, broken
from monitor.decoding.input_topics import INPUTS
from monitor.partition.checkpoint import DecidingSettings
from monitor.partition.journal import ClockAdvance, JournalEntry, LostInput, MaxAheadChange, SkippedRecord
from monitor.partition.record_batch import RecordBatch
from monitor.partition.task import StreamTask
from monitor.policy.model import Policy


def test_entries_about_a_recreated_log_do_not_apply_to_the_new_one() -> None:
    policy, _, _ = sources_of(1)
    partition = StreamTask(policy)
    loss = LostInput(0, 40, recreated=True, reason="a test")
    recorded: list[JournalEntry] = [
        MaxAheadChange(0, 5),
        ClockAdvance(0, T0),
        SkippedRecord(1, "of the old log"),
        ClockAdvance(2, 2 * T0),
        loss,
    ]
    partition.recall(0, [*recorded, MaxAheadChange(0, 7), ClockAdvance(0, T0 + 9)])
    assert partition.sources.clocks_ms[0] == T0 + 9
    partition.feed(0, RecordBatch(0, 2, np.arange(2), np.zeros(2, np.int64), [b"{", b"{"], [b"k", b"k"]))
    assert partition.sources.clocks_ms[0] == T0 + 9
    assert not any(rejected.reason.startswith("skipped") for rejected in partition.take().rejected)


def broken_off(policy: Policy, lines: list[bytes], stamp_ms: int) -> tuple[StreamTask, int, int]:
    """A partition that has stored its state after reading all of source 0, and is restored; its restart and processed
    offsets.
    """
    partition, stored = StreamTask(policy, live=DecidingSettings(max_ahead_ms=0)), dict[str, bytes]()
    partition.feed(0, rows(lines, 0, len(lines), stamp_ms))
    partition.advance()
    assert partition.take().rejected
    stored = {key: value for key, value in partition.snapshot() if value is not None}
    partition = StreamTask(policy, live=DecidingSettings(max_ahead_ms=0))
    partition.restore(stored)
    return partition, partition.sources.offsets[0], partition.sources.done[0]


def test_remaining_records_after_a_deletion_are_read_again_and_output_once() -> None:
    policy, sources, stamp_ms = sources_of(3)
    lines = [*sources[0], b"{", b"{"]
    partition, resume, done = broken_off(policy, lines, stamp_ms)
    assert resume < done - 3, "calls lie in open panes"
    partition.sources.pass_over(0, resume + 1)
    assert (partition.sources.offsets[0], partition.sources.done[0]) == (resume + 1, done)
    partition.feed(0, rows(lines, resume + 1, done, stamp_ms))
    taken = partition.take()
    assert (taken.rows, taken.rejected, taken.late) == (0, [], [])


def test_a_log_that_was_recreated_is_read_as_if_it_were_the_first_time() -> None:
    policy, sources, stamp_ms = sources_of(3)
    lines = [*sources[0], b"{", b"{"]
    partition, _, done = broken_off(policy, lines, stamp_ms)
    partition.sources.lose(0, LostInput(0, done, recreated=True, reason="a test"))
    partition.feed(0, rows(lines[-2:], 0, 2, stamp_ms))
    taken = partition.take()
    assert (taken.rows, [r.ref.offset for r in taken.rejected], partition.sources.done[0]) == (2, [0, 1], 0)
    assert done > 2


def test_records_after_a_loss_are_late_by_the_earlier_clock() -> None:
    """By the clock at which reading would have continued it would be on time, and in no window: those are evaluated."""
    stored: dict[str, bytes] = {}
    first = new_task()
    lateness_ms = sources_of(1)[0].lateness_ms
    first.feed(0, calls_at([T0, T0 + 3 * lateness_ms], 0, T0 + 3 * lateness_ms))
    for source in range(1, len(INPUTS)):
        first.sources.move(source, T0 + lateness_ms + 10 * MINUTE)
    commit(first, stored)
    again = new_task()
    resume = again.restore(stored)[0]
    again.sources.pass_over(0, 7)
    assert resume < 7
    again.feed(0, calls_at([T0 + MINUTE], 7, T0 + 3 * lateness_ms))
    assert len(commit(again, stored).late) == 1


def test_a_task_that_continues_by_the_later_clock_after_a_loss_is_found() -> None:
    """Random schedules rarely show it."""
    test_records_after_a_loss_are_late_by_the_earlier_clock()
    with broken(CLOCK_AT_DONE_LOST), pytest.raises(AssertionError):
        test_records_after_a_loss_are_late_by_the_earlier_clock()
