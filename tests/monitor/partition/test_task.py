"""A partition that stops anywhere and continues from its snapshot decides, counts and outputs what a replay does."""

import gc
import json
import random
import weakref
from bisect import bisect_left
from typing import Any

import msgspec
import numpy as np
import pytest

from helpers.thorough import thorough
from monitor.core.codec import StateFormatError
from monitor.partition.checkpoint import DecidingSettings
from monitor.partition.record_batch import RecordBatch
from monitor.partition.sources import MisplacedRecordError
from monitor.partition.task import StreamTask
from monitor.policy.load import loads
from monitor.policy.model import Policy
from monitor.replay.run import ReplayOptions, replay
from oracle.alert_sequences import wrong_alerts
from oracle.scenario_generator import lines_of, scenario
from schemas import codec
from schemas.inputs import Cdr


def rows_of(
    before: int, lines: list[bytes], offsets: list[int], start: int, stop: int, not_after_ms: int
) -> RecordBatch:
    """The lines as rows of a topic, whose timestamps forbid event times beyond ``not_after_ms``."""
    after = offsets[stop] if stop < len(offsets) else offsets[-1] + 1
    stamps = np.full(stop - start, not_after_ms)
    return RecordBatch(before, after, np.array(offsets[start:stop], np.int64), stamps, lines[start:stop])


def interrupted(
    policy: Policy, files: list[list[bytes]], rng: random.Random, not_after_ms: int, early: float = 0.0
) -> dict[str, Any]:
    """Read the files in turns in random pieces, stopping at random: work since the last snapshot is lost.

    ``early`` is how often an early evaluation runs. Often only some of the due records are decided at once.
    """

    def new() -> StreamTask:
        task = StreamTask(policy, live=DecidingSettings(max_ahead_ms=0), sources=len(files))
        task.write_measures()
        return task

    # Offsets of a topic have gaps at transaction markers and after compaction.
    offsets = [sorted(rng.sample(range(2 * len(lines) + 1), len(lines))) for lines in files]
    stored: dict[str, bytes] = {}
    kept: list[Any] = []
    stored_at: list[int] = []
    handed_over, restarts = False, 0
    partition = new()
    at = [0] * len(files)

    def feed(source: int, stop: int) -> None:
        before = partition.sources.offsets[source]
        partition.feed(source, rows_of(before, files[source], offsets[source], at[source], stop, not_after_ms))
        at[source] = stop

    while any(place < len(lines) for place, lines in zip(at, files, strict=True)):
        source = rng.choice([n for n, lines in enumerate(files) if at[n] < len(lines)])
        feed(source, min(len(files[source]), at[source] + rng.choice((1, 2, 7, 60))))
        if rng.random() < early:
            partition.early()
        if rng.random() < 0.7:
            for number, lines in enumerate(files):
                if at[number] == len(lines):
                    partition.sources.end(number)
            due, decided = partition.due, len(partition.shard.output.enforcement)
            partition.advance(rng.choice((None, None, 0, 1, 4)))
            assert due or len(partition.shard.output.enforcement) == decided, "it was not due and yet decided"
            if rng.random() < 0.4:
                kept.append(partition.take())
                handed_over = rng.random() < 0.4
                for key, value in partition.snapshot(hand_over=handed_over):
                    stored.pop(key, None)
                    if value is not None:
                        stored[key] = value
                stored_at = list(at)
        halfway = restarts == 0 and 2 * sum(at) > sum(map(len, files))
        if rng.random() < 0.1 or halfway:
            restarts += 1
            partition = new()
            at = [0] * len(files)
            if stored:
                partition.restore(stored)
                resume = partition.take_over()
                at = [bisect_left(places, offset) for places, offset in zip(offsets, resume, strict=True)]
                assert not handed_over or at == stored_at, "nothing is to be read again"
                for source in range(len(files)):
                    while at[source] < stored_at[source]:
                        feed(source, min(stored_at[source], at[source] + rng.choice((1, 5, 100))))
    partition.finish()
    kept.append(partition.take())
    line = [{offset: number for number, offset in enumerate(places, 1)} for places in offsets]
    return {
        "enforcement": sorted(bytes_of(e) for taken in kept for e in taken.output.enforcement),
        "shadow": sorted(bytes_of(e) for taken in kept for e in taken.output.shadow),
        "alerts": sorted(bytes_of(a) for taken in kept for a in taken.output.alerts),
        "measures": sorted(value for taken in kept for hour in taken.output.measures for _, value in hour.rows()),
        "alerts in order": [a for taken in kept for a in taken.output.alerts],
        "late": sorted(late.raw for taken in kept for late in taken.late),
        "rejected": sorted(
            (r.ref.source, line[r.ref.source][r.ref.line], r.reason) for taken in kept for r in taken.rejected
        ),
        "read": sum(taken.rows for taken in kept),
        "duplicates": sum(taken.duplicates for taken in kept),
        "restarts": restarts,
    }


def whole(policy: Policy, files: list[list[bytes]], not_after_ms: int, folder: Any) -> dict[str, Any]:
    paths = []
    for number, lines in enumerate(files):
        path = folder / f"{number}.jsonl"
        path.write_bytes(b"".join(line + b"\n" for line in lines))
        paths.append(path)
    out = replay(paths, policy, ReplayOptions(not_after_ms=not_after_ms, measures=True))
    places = {str(path): number for number, path in enumerate(paths)}
    return {
        "enforcement": sorted(map(bytes_of, out.enforcement)),
        "shadow": sorted(map(bytes_of, out.shadow)),
        "alerts": sorted(map(bytes_of, out.alerts)),
        "measures": sorted(out.measures),
        "alerts in order": out.alerts,
        "late": sorted(out.late),
        "rejected": sorted((places[r.file], r.line, r.reason) for r in out.rejected),
        "read": out.summary.read,
        "duplicates": out.summary.duplicates,
    }


def bytes_of(record: msgspec.Struct) -> bytes:
    return msgspec.json.encode(record)


def both(seed: int, folder: Any, early: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """The result of a replay of a scenario, and of a partition that is stopped at random."""
    print(f"seed {seed}")
    made, rng = scenario(seed), random.Random(seed)
    policy = loads(json.dumps(made.policy), "policy.json")
    files = lines_of(made)
    expected = whole(policy, files, made.not_after_ms, folder)
    got = interrupted(policy, files, rng, made.not_after_ms, rng.choice((0.1, 0.5, 1.0)) if early else 0.0)
    assert got.pop("restarts") > 0
    return expected, got


@pytest.mark.parametrize("seed", thorough(range(20), 3, soak=range(20, 80)))
def test_a_restart_loses_repeats_or_changes_nothing(seed: int, tmp_path: Any) -> None:
    expected, got = both(seed, tmp_path, early=False)
    del got["alerts in order"], expected["alerts in order"]
    assert got == expected


@pytest.mark.parametrize("seed", thorough(range(20), 3, soak=range(20, 80)))
def test_early_evaluation_changes_nothing_but_alerts(seed: int, tmp_path: Any) -> None:
    """Including restarts."""
    expected, got = both(seed, tmp_path, early=True)
    alerts, judged = got.pop("alerts in order"), expected.pop("alerts in order")
    assert {**got, "alerts": None} == {**expected, "alerts": None}
    assert list(wrong_alerts(alerts, judged, watermark_ms=2**62)) == []


def test_a_duplicate_stays_one_when_its_id_is_forgotten() -> None:
    """It is read again, because its pane is open, with an id that has been forgotten meanwhile."""
    minute = 60_000
    start_ms = 1_772_409_600_000
    policy = loads(
        json.dumps(
            {
                "id": "test",
                "version": "1",
                "extends": "access-rules",
                "escalations": [],
                "defaults": {"lateness": "10m"},
                "rules": [
                    {
                        "id": "many",
                        "behaviour": "blind_calling",
                        "metric": "attempts",
                        "above": 1.5,
                        "window": "5m",
                        "step": "5m",
                    }
                ],
            }
        ),
        "policy.json",
    )

    def call(name: str, after_min: int) -> bytes:
        at_ms = start_ms + after_min * minute
        return codec.encode(Cdr(name, "acme", "outbound", "1", "2", at_ms, at_ms, "no_answer"))

    lines = [call("a", 0), call("b", 6), call("a", 9), call("c", 16), call("d", 30)]

    def decided(restart_at: int | None) -> tuple[int, int]:
        partition, stored = StreamTask(policy, live=DecidingSettings(max_ahead_ms=0), sources=1), dict[str, bytes]()
        events = duplicates = 0
        for row in range(len(lines)):
            partition.feed(0, rows_of(row, lines, list(range(5)), row, row + 1, start_ms + 60 * minute))
            partition.advance()
            taken = partition.take()
            events, duplicates = events + len(taken.output.enforcement), duplicates + taken.duplicates
            if row == restart_at:
                stored = {key: value for key, value in partition.snapshot() if value is not None}
                partition = StreamTask(policy, live=DecidingSettings(max_ahead_ms=0), sources=1)
                (resume,) = partition.restore(stored)
                assert resume == 1, "not what was to be shown"
                partition.feed(0, rows_of(1, lines, list(range(5)), 1, row + 1, start_ms + 60 * minute))
        return events, duplicates

    assert decided(None) == (0, 1)
    assert decided(3) == (0, 1)


def test_too_many_open_calls_are_not_handed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    made = scenario(1)
    policy = loads(json.dumps(made.policy), "policy.json")
    (lines, *_) = lines_of(made)
    partition = StreamTask(policy, live=DecidingSettings(max_ahead_ms=0), sources=1)
    partition.feed(0, rows_of(0, lines, list(range(len(lines))), 0, len(lines), made.not_after_ms))
    partition.advance()
    partition.take()
    keys = [key for key, _ in partition.snapshot(hand_over=True)]
    assert "handover/0" in keys
    monkeypatch.setattr("monitor.core.shard_state.MOST_CALLS", len(partition.shard.open_panes) - 1)
    after = dict(partition.snapshot(hand_over=True))
    assert after["handover/0"] is None
    assert "handover/0" not in dict(partition.snapshot(hand_over=True))


def test_a_head_of_another_format_is_refused() -> None:
    policy = loads(json.dumps(scenario(1).policy), "policy.json")
    *others, (key, head) = StreamTask(policy).snapshot()
    assert head is not None
    later = msgspec.msgpack.decode(head[2:]) | {"format": 99}
    stored = {name: value for name, value in others if value is not None}
    with pytest.raises(StateFormatError, match="format 99"):
        StreamTask(policy).restore(stored | {key: head[:2] + msgspec.msgpack.encode(later)})


def test_rows_that_do_not_follow_are_not_taken() -> None:
    policy = loads(json.dumps(scenario(1).policy), "policy.json")
    partition = StreamTask(policy)
    with pytest.raises(MisplacedRecordError, match="expected rows from offset 0 on, got 5"):
        partition.feed(0, rows_of(5, [b"{}"], [5], 0, 1, 0))
    assert partition.sources.offsets[0] == 0
    assert partition.take().rejected == []


def test_a_handover_whose_deletion_was_missed_is_left_aside() -> None:
    """A slow reader of a compacted log may see an old entry and miss its deletion."""
    made = scenario(1)
    policy = loads(json.dumps(made.policy), "policy.json")
    (lines, *_) = lines_of(made)

    def new() -> StreamTask:
        return StreamTask(policy, live=DecidingSettings(max_ahead_ms=0), sources=1)

    first = new()
    first.feed(0, rows_of(0, lines, list(range(len(lines))), 0, len(lines), made.not_after_ms))
    first.advance()
    first.take()
    stored = {key: value for key, value in first.snapshot(hand_over=True) if value is not None}
    again = new()
    resume = again.restore(stored)
    assert again.take_over() != resume
    again.take()
    after = dict(again.snapshot())
    assert after["handover/0"] is None
    stored |= {key: value for key, value in after.items() if value is not None}
    last = new()
    resume = last.restore(stored)
    assert last.take_over() == resume
    assert dict(last.snapshot())["handover/0"] is None


@pytest.mark.parametrize("seed", range(3))
def test_a_partition_that_is_given_up_is_freed_at_once(seed: int) -> None:
    """A worker's garbage collector never visits old objects again, so a cycle would hold the partition's memory."""
    made = scenario(seed)
    policy = loads(json.dumps(made.policy), "policy.json")
    files = lines_of(made)
    live = DecidingSettings(max_ahead_ms=0)
    partition = StreamTask(policy, live=live, sources=len(files))
    for source, lines in enumerate(files):
        partition.feed(source, rows_of(0, lines, list(range(len(lines))), 0, len(lines), made.not_after_ms))
        partition.sources.end(source)
        partition.early()
    partition.advance()
    stored = {key: value for key, value in partition.snapshot(hand_over=True) if value is not None}
    assert partition.shard.tenants
    restored = StreamTask(policy, live=live, sources=len(files))
    restored.restore(stored)
    restored.take_over()
    restored.early()
    left = [weakref.ref(one) for one in (partition, partition.shard, restored, restored.shard)]
    gc.collect()
    gc.disable()
    try:
        del partition, restored
        assert [one() for one in left] == [None] * 4
    finally:
        gc.enable()
