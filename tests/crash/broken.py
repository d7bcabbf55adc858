"""Mutations of the protocol: each removes or changes one step in the source, and restores it afterwards."""

import inspect
import sys
import textwrap
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from crash.memory_consumer import MemoryConsumer
from crash.schedule import Schedule
from monitor.core.calls.dedup import Deduplicator
from monitor.core.shard_state import ShardState
from monitor.decoding import merge
from monitor.decoding.source import Source
from monitor.partition.key_check import KeyCheck
from monitor.partition.policy_versions import PolicyVersions
from monitor.partition.processing import record_intake as intake
from monitor.partition.processing.policy_changes import PolicyChanges
from monitor.partition.processing.record_intake import RecordIntake
from monitor.partition.processing.watermark import Watermark
from monitor.partition.source_position import SourceProgress
from monitor.partition.sources import Sources
from monitor.partition.task import StreamTask
from streams.topics import transaction_records as emit
from streams.worker import partition_owner
from streams.worker.idle_clocks import IdleClocks
from streams.worker.partition_owner import PartitionOwner
from streams.worker.running import running_partition
from streams.worker.running.input_delivery import InputDelivery
from streams.worker.running.running_partition import RunningPartition


@dataclass(frozen=True)
class Change:
    """Replaces a piece of the source of a function of a class or module."""

    where: type | ModuleType
    function: str
    old: str
    new: str


BETWEEN = "between"
"""The interception point between the parts of a transaction that was split."""


def _parted(*lines: str) -> Change:
    """Split the transaction into several, one per line, the last line last. A worker may be killed
    before the last one.
    """
    *before, last = lines
    steps = "\n    ".join([*before, f"await writer._link.passes({BETWEEN!r})", last])
    return Change(running_partition, "commit", "state_end = await writer.commit(outs, done) + 1", steps)


_STATE = "state = [out for out in outs if out.topic.endswith('.state')]"
_REST = "rest = [out for out in outs if out not in state]"
_WRITE_STATE = "state_end = await writer.commit(state, done) + 1"
_WRITE_REST = "rest and await writer.commit(rest, {})"
_ALERTS = "alerts = [out for out in outs if out.topic.endswith('.alerts')]"
_OTHERS = "others = [out for out in outs if out not in alerts]"
_WRITE_ALERTS = "alerts and await writer.commit(alerts, {})"
_WRITE_OTHERS = "state_end = await writer.commit(others, done) + 1"
_HEAD = "state = [out for out in outs if (out.key or b'').startswith(b'head')]"
_LETTERS = "letters = [out for out in outs if out.topic.endswith('.dead-letter')]"
_BUT_LETTERS = "others = [out for out in outs if out not in letters]"
_WRITE_LETTERS = "letters and await writer.commit(letters, {})"
_FETCHED = Change(
    InputDelivery, "_begin", "fetched.start != owner.next_offset(tp) or not owner.listens(tp)", "not owner.listens(tp)"
)
_FENCE = "await self._writer.start()"
_RESUME = "position.head(*since.get(number, (position.source.offset, position.source.clock_ms)))"
_AGAIN = "(waiting.at_ms >= self._decided_ms and waiting.place > self._decided)"
_WAITING = f"if waiting.ref.offset >= done or {_AGAIN}:"

BROKEN: dict[str, list[Change]] = {
    "3: records that are not decided yet are passed over": [
        Change(MemoryConsumer, "_fetch", "stable = log.last_stable", "stable = log.end")
    ],
    "3: a batch of aborted records alone is dropped": [
        Change(InputDelivery, "_begin", "or not owner.listens(tp)", "or not owner.listens(tp) or not len(fetched)")
    ],
    "2: the state is read before the former owner is fenced": [
        Change(PartitionOwner, "_open_once", "await self._writer.start()\n    running", "running"),
        Change(
            PartitionOwner, "_open_once", "    self.input.start", "    await self._writer.start()\n    self.input.start"
        ),
    ],
    "2: no former owner is fenced": [
        Change(PartitionOwner, "_open_once", '-{self.number}")', '-{self.number}-{context.now_ms()}")')
    ],
    "3: stale batches are applied": [
        _FETCHED,
        Change(RunningPartition, "feed", " or rows.start != self.task.sources.offsets[source]", ""),
        Change(Sources, "read", "if rows.start != position.source.offset:", "if False:"),
    ],
    "3: stale batches are dropped, and what is missing is not sought": [
        Change(InputDelivery, "_take", "self._consumer.seek(tp, owner.next_offset(tp))", "pass")
    ],
    "5: moves are not in the clock log": [
        Change(Sources, "take", "*((source, move) for (source, _), move in self._moves.items()),", "")
    ],
    "6: decisions, then the state": [_parted(_STATE, _REST, _WRITE_REST, _WRITE_STATE)],
    "6: the state, then decisions": [_parted(_STATE, _REST, _WRITE_STATE, _WRITE_REST)],
    "6: the head first": [_parted(_HEAD, _REST, _WRITE_STATE, _WRITE_REST)],
    "6: alerts, then the rest": [_parted(_ALERTS, _OTHERS, _WRITE_ALERTS, _WRITE_OTHERS)],
    "6: alerts are lost": [Change(emit, "records", "for a in output.alerts", "for a in ()")],
    "6: alerts are put out twice": [
        Change(emit, "records", "for a in output.alerts", "for a in [*output.alerts, *output.alerts]")
    ],
    "6: alerts never end": [
        Change(emit, "records", "for a in output.alerts", "for a in output.alerts if a.state == 'firing'")
    ],
    "6: a part of the state is not written": [
        Change(StreamTask, "snapshot", "sorted(state.changes().items())", "sorted(state.changes().items())[1:]")
    ],
    "7: done falls": [Change(SourceProgress, "head", "if self.source.offset >= self.done:", "if True:")],
    "7: done is not kept": [Change(SourceProgress, "restore", "head.done, head.done_ms", "0, head.done_ms")],
    "7: reading continues where it stopped": [
        Change(Sources, "heads", _RESUME, "position.head(position.source.offset, position.source.clock_ms)")
    ],
    "7: the clock is that of where reading stopped": [
        Change(
            SourceProgress, "head", "self.forget(resume)", "self.forget(resume)\n    clock_ms = self.source.clock_ms"
        )
    ],
    "7: alerts that fire are not in the state": [
        Change(ShardState, "changes", "changes |= shard.evaluator.alert_states.changes()", "pass")
    ],
    "8: what waits is not read again": [Change(RecordIntake, "feed", _WAITING, "if waiting.ref.offset >= done:")],
    "8: late calls are put out again": [
        Change(
            RecordIntake,
            "feed",
            "late for late in batch.late if late.ref.offset >= done",
            "late for late in batch.late",
        )
    ],
    "8: rejected records are put out again": [Change(RecordIntake, "feed", "if offset >= done or fresh:", "if True:")],
    "6: dead letters, then the rest": [_parted(_LETTERS, _BUT_LETTERS, _WRITE_LETTERS, _WRITE_OTHERS)],
    "6: alerts end twice": [
        Change(
            emit,
            "records",
            "for a in output.alerts",
            "for a in output.alerts for _ in range(1 + (a.state != 'firing'))",
        )
    ],
    "7: the clock is not in the head": [
        Change(SourceProgress, "restore", "= head.resume, head.clock_ms", "= head.resume, NO_CLOCK_MS")
    ],
    "9: the memory is kept after a transaction that failed": [
        Change(PartitionOwner, "_commit", "transaction_failed()\n        self.forget()", "transaction_failed()")
    ],
}

# Live and replay make the same mistake here, so only the oracle, a second implementation of the contract, finds it.
_AFTER = "after = np.maximum(np.maximum.accumulate(event_ms), self.clock_ms)"
CONTRACT_BROKEN: dict[str, list[Change]] = {
    "the watermark does not wait for reviews": [
        Change(Sources, "least_ms", "for one in self._positions if", "for one in self._positions[:-1] if")
    ],
    "the watermark waits for nothing but calls": [
        Change(Sources, "least_ms", "for one in self._positions if", "for one in self._positions[:1] if")
    ],
    "the watermark is the furthest clock": [Change(Sources, "least_ms", "min(", "max(")],
    "the watermark is not less lateness": [
        Change(Watermark, "ms", "self._policies.lateness.line(least_ms)", "least_ms")
    ],
    "a clock goes back": [Change(Source, "place", _AFTER, "after = event_ms")],
    "late calls move no clock": [
        Change(Source, "place", _AFTER, _AFTER.replace("event_ms", "np.where(decoded.call_rows.size, 0, event_ms)"))
    ],
    "a record may be ahead of its timestamp without a limit": [
        Change(intake, "reject_later", "if later.any():", "if False:")
    ],
    "no record is raised to the late line": [
        Change(merge, "_waiting", "max(record.updated_ms, line_ms)", "record.updated_ms")
    ],
    "a call at the late line is late": [
        Change(intake, "merge", "calls.end_ms < calls.line_ms", "calls.end_ms <= calls.line_ms")
    ],
    "no call is late": [Change(intake, "merge", "calls.end_ms < calls.line_ms", "calls.end_ms < 0")],
    "recorded clocks take effect after the record": [
        Change(
            SourceProgress, "go", "self.moves[self.moved].offset <= offset", "self.moves[self.moved].offset < offset"
        )
    ],
    "a key may be another tenant's": [Change(KeyCheck, "_fault", "if key != tenant_id.encode():", "if False:")],
    "a tenant may lie in any partition": [
        Change(KeyCheck, "_fault", "if not self._lies_here(tenant_id):", "if False:"),
        Change(KeyCheck, "_all_lie_here", "return self", "return True or self"),
    ],
    "a record may lie in any topic": [Change(KeyCheck, "fault", "if type(record) not in CARRIES[topic]:", "if False:")],
    "what no client can read is judged by its value": [
        Change(intake, "decode_rows", "{offset: one.reason for offset, one in rows.unreadable.items()} | ", "")
    ],
    "no call is a duplicate": [Change(Deduplicator, "admit", "return duplicate", "return np.zeros_like(duplicate)")],
}

_ENTRIES = "entries = [out for out in outs if b'\"type\":\"policy\"' in (out.value or b'')]"
_BUT_ENTRIES = "others = [out for out in outs if out not in entries]"

SWITCH_BROKEN: dict[str, list[Change]] = {
    "the journal entry is lost": [
        Change(PolicyChanges, "apply", "self._journal.add(policies.journal_entry(version, reason, by, at_ms))", "pass")
    ],
    "the state, then the journal entry": [
        _parted(_ENTRIES, _BUT_ENTRIES, _WRITE_OTHERS, "entries and await writer.commit(entries, {})")
    ],
    "the policy is not in the state": [
        Change(StreamTask, "snapshot", "self.policies.heads()", "self.policies.heads()[-1:]")
    ],
    "windows of before the change are judged after it": [
        Change(PolicyChanges, "close", "not close_by(shard, most, coming.from_ms, coming.policy)", "False")
    ],
    "a task closed by a policy change continues": [
        Change(PartitionOwner, "_commit", "if running.task.switching:", "if False:")
    ],
}

WITHDRAWAL_BROKEN: dict[str, list[Change]] = {
    "it is not recorded": [Change(PolicyChanges, "withdraw", "for version in gone:", "for version in ():")],
    "it is recorded, and the policy stays": [
        Change(PolicyVersions, "withdraw", "gone.append(self.versions.pop(place))", "gone.append(self.versions[place])")
    ],
    "a replay takes no notice": [Change(PolicyVersions, "recall", "del coming[entry.from_ms]", "pass")],
}

# Random schedules do not find these mutations; directed tests do.
MOVES_NOT_IN_THE_HEAD = [Change(SourceProgress, "head", "self.moves,", "[],")]
CLOCK_BEYOND_TIMESTAMP = [Change(Source, "place", "if at_most_ms is None", "if True")]
ONE_ADVANCE_RECORDED = [Change(Sources, "move", "at[0] != source or at[1] < position.valid", "at[0] != source")]
CLOCK_AT_DONE_LOST = [Change(SourceProgress, "restore", "head.done, head.done_ms", "head.done, 0")]
FAILED_OBSERVATIONS_IGNORED = [Change(IdleClocks, "blind", "self._silence.blind()", "pass")]
OLD_MEMORY_KEPT = [Change(partition_owner, "has_grown", "return await", "return False and await")]


@contextmanager
def broken(changes: Iterable[Change]) -> Iterator[None]:
    """Apply the changes to the sources while the context is active. A piece that does not occur exactly once is an
    error.
    """
    kept: list[tuple[type | ModuleType, str, Any]] = []
    try:
        for change in changes:
            found = vars(change.where)[change.function]
            kept.append((change.where, change.function, found))
            function = found.fget if isinstance(found, property) else found
            source = _SOURCES.get(function) or textwrap.dedent(inspect.getsource(function))
            pieces = source.count(change.old)
            assert pieces == 1, f"{change.function} has {pieces} times: {change.old}"
            namespace = dict(vars(sys.modules[function.__module__]))
            source = source.replace(change.old, change.new)
            exec(compile("from __future__ import annotations\n" + source, change.function, "exec"), namespace)
            made = namespace[change.function]
            made = made.fget if isinstance(made, property) else made
            _SOURCES[made] = source
            setattr(change.where, change.function, property(made) if isinstance(found, property) else made)
        yield
    finally:
        for where, name, function in reversed(kept):
            setattr(where, name, function)
        _SOURCES.clear()


_SOURCES: dict[Any, str] = {}


# Cheap seeds that found each mutation when last checked, unless it was the first one. They are played first, which
# saves hundreds of schedules. If a seed no longer finds its mutation, because the protocol has changed, the other seeds
# follow as usual; the test prints the seed that found it.
SHOWN_BY = {
    "3: records that are not decided yet are passed over": 14,
    "3: a batch of aborted records alone is dropped": 4,
    "2: the state is read before the former owner is fenced": 61,
    "2: no former owner is fenced": 260,
    "3: stale batches are applied": 2,
    "3: stale batches are dropped, and what is missing is not sought": 7,
    "5: moves are not in the clock log": 122,
    "6: decisions, then the state": 161,
    "6: the state, then decisions": 161,
    "6: alerts, then the rest": 28,
    "6: alerts are lost": 29,
    "6: alerts are put out twice": 29,
    "6: alerts never end": 29,
    "6: alerts end twice": 29,
    "6: a part of the state is not written": 120,
    "7: done falls": 33,
    "7: done is not kept": 122,
    "7: reading continues where it stopped": 122,
    "7: the clock is that of where reading stopped": 316,
    "7: alerts that fire are not in the state": 325,
    "7: the clock is not in the head": 23,
    "8: what waits is not read again": 260,
    "8: late calls are put out again": 325,
    "9: the memory is kept after a transaction that failed": 1,
    "the watermark does not wait for reviews": 22,
    "the watermark waits for nothing but calls": 2,
    "a call at the late line is late": 1,
    "a tenant may lie in any partition": 11,
    "a record may lie in any topic": 11,
    "no call is a duplicate": 5,
}


def found(name: str, seeds: Iterable[int]) -> tuple[int, str] | None:
    """Return the first seed whose topics show the mutation, and how; None if none does. An exception is
    not evidence.
    """
    with broken((BROKEN | CONTRACT_BROKEN)[name]):
        for seed in sorted(seeds, key=lambda seed: (seed != SHOWN_BY.get(name), seed)):
            wrong = Schedule(seed).run().wrong
            if wrong:
                return seed, wrong[0]
    return None
