"""A state that was stored earlier is read and goes on, whichever format its head is written in."""

import base64
import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from monitor.core.codec import FORMAT, READS, WRITES, StateFormatError
from monitor.partition.checkpoint import HEAD, DecidingSettings
from monitor.partition.record_batch import RecordBatch
from monitor.partition.task import StreamTask
from monitor.policy.load import loads

KEPT = json.loads(Path(__file__).with_name("stored-state.json").read_text())
STORED = {key: base64.b64decode(value) for key, value in KEPT["stored"].items()}
FILES = [[line.encode() for line in lines] for lines in KEPT["files"]]
POLICY = loads(json.dumps(KEPT["policy"]), "policy.json")


def partition(told: int = WRITES) -> StreamTask:
    return StreamTask(POLICY, b"secret", DecidingSettings(max_ahead_ms=0), sources=len(FILES), state_format=told)


def feed(one: StreamTask, source: int, stop: int) -> None:
    start = one.sources.offsets[source]
    stamps = np.full(stop - start, KEPT["not_after_ms"])
    one.feed(source, RecordBatch(start, stop, np.arange(start, stop), stamps, FILES[source][start:stop]))


def head(stored: dict[str, bytes]) -> Any:
    return msgspec.msgpack.decode(stored[f"{HEAD}/0"][2:], strict=False)


def keep(stored: dict[str, bytes], one: StreamTask) -> dict[str, bytes]:
    for key, value in one.snapshot(hand_over=True):
        stored.pop(key, None)
        if value is not None:
            stored[key] = value
    return stored


def went_on(told: list[int], handed_over: bool = True) -> tuple[dict[str, list[str]], dict[str, bytes]]:
    """What the kept state brings about, and what is stored in the end; each tenth by another worker, ``told`` so."""
    stored = dict(STORED)
    said: dict[str, list[str]] = {"enforcement": [], "shadow": [], "alerts": []}
    for tenth, told_now in zip(range(5, 10), told, strict=True):
        one = partition(told_now)
        one.restore(stored)
        if handed_over or tenth > 5:
            assert one.take_over() == (KEPT["read"] if tenth == 5 else [len(lines) * tenth // 10 for lines in FILES])
        for source, lines in enumerate(FILES):
            feed(one, source, len(lines) * (tenth + 1) // 10)
        one.early()
        one.advance()
        if tenth == 9:
            one.finish()
        sink = one.take().sink
        for name, came in (("enforcement", sink.enforcement), ("shadow", sink.shadow), ("alerts", sink.alerts)):
            said[name] += [msgspec.json.encode(event).decode() for event in came]
        stored = keep(stored, one)
    return said, stored


@pytest.mark.parametrize("handed_over", [True, False])
@pytest.mark.parametrize(
    ("told", "written"), [([2, 2, 2, 2, 2], 2), ([3, 3, 3, 3, 3], 3), ([2, 3, 2, 2, 2], 3), ([2, 2, 2, 2, 3], 3)]
)
def test_the_kept_state_goes_on_as_it_did_when_it_was_made(told: list[int], written: int, handed_over: bool) -> None:
    """Read in either format and written in either, from worker to worker; and once in the later one it stays there."""
    assert head(STORED)["format"] == 2
    said, stored = went_on(told, handed_over)
    assert said == KEPT["after"]
    assert head(stored)["format"] == written


def test_a_state_is_begun_in_the_format_of_the_release_before() -> None:
    """No older release has seen it; but two workers may begin it, and the other one be of that release."""
    assert head(keep({}, partition()))["format"] == READS[0]
    assert head(keep({}, partition(READS[-1])))["format"] == READS[-1]


def test_a_state_that_is_begun_to_enforce_from_some_time_is_in_the_format_that_holds_it() -> None:
    """The release before would enforce all."""
    from_ms = 1_772_409_600_000
    told = {
        "secret": b"secret",
        "live": DecidingSettings(max_ahead_ms=0),
        "sources": len(FILES),
        "state_format": READS[0],
    }
    stored = keep({}, StreamTask(POLICY, **told, enforce_from_ms=from_ms))
    assert (head(stored)["format"], head(stored)["enforce_from_ms"]) == (3, from_ms)


def test_nothing_is_left_out_of_a_head_that_the_release_before_looks_for() -> None:
    """It passes over what it does not know, and what it misses it cannot do without."""
    one = partition(2)
    one.restore(STORED)
    kept, now = head(STORED), head(keep(dict(STORED), one))
    assert now["shard"]["format"] == FORMAT
    for before, after in ((kept, now), (kept["shard"], now["shard"]), (kept["sources"][0], now["sources"][0])):
        assert before.keys() <= after.keys()


def test_a_state_of_a_release_to_come_is_refused() -> None:
    one = partition()
    one.state_format = READS[-1] + 1
    later = keep({}, one)
    with pytest.raises(StateFormatError, match=r"^the stored head has format 4; this release knows 2 and 3$"):
        partition().restore(later)
