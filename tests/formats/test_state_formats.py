"""A state that was stored earlier is read and continued; one of an unknown format is refused."""

import base64
import json
import re
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from monitor.core.codec import FORMAT, StateFormatError
from monitor.partition.checkpoint import HEAD, DecidingSettings
from monitor.partition.record_batch import RecordBatch
from monitor.partition.task import StreamTask
from monitor.policy.load import loads

KEPT = json.loads(Path(__file__).with_name("stored-state.json").read_text())
STORED = {key: base64.b64decode(value) for key, value in KEPT["stored"].items()}
FILES = [[line.encode() for line in lines] for lines in KEPT["files"]]
POLICY = loads(json.dumps(KEPT["policy"]), "policy.json")


def partition() -> StreamTask:
    return StreamTask(POLICY, b"secret", DecidingSettings(max_ahead_ms=0), sources=len(FILES))


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


def continued_outputs(handed_over: bool) -> tuple[dict[str, list[str]], dict[str, bytes]]:
    """The outputs from the stored state, and the state stored in the end; each tenth is processed by another worker."""
    stored = dict(STORED)
    said: dict[str, list[str]] = {"enforcement": [], "shadow": [], "alerts": []}
    for tenth in range(5, 10):
        one = partition()
        one.restore(stored)
        if handed_over or tenth > 5:
            assert one.take_over() == (KEPT["read"] if tenth == 5 else [len(lines) * tenth // 10 for lines in FILES])
        for source, lines in enumerate(FILES):
            feed(one, source, len(lines) * (tenth + 1) // 10)
        one.early()
        one.advance()
        if tenth == 9:
            one.finish()
        output = one.take().output
        for name, came in (("enforcement", output.enforcement), ("shadow", output.shadow), ("alerts", output.alerts)):
            said[name] += [msgspec.json.encode(event).decode() for event in came]
        stored = keep(stored, one)
    return said, stored


@pytest.mark.parametrize("handed_over", [True, False])
def test_the_stored_state_continues_as_when_it_was_written(handed_over: bool) -> None:
    said, stored = continued_outputs(handed_over)
    assert said == KEPT["after"]
    assert head(STORED)["format"] == head(stored)["format"] == FORMAT


def test_the_upgrade_guide_names_the_format_of_this_release() -> None:
    page = (Path(__file__).parents[2] / "docs" / "guides" / "upgrades.md").read_text("utf-8")
    assert {*re.findall(r"(?:reads and writes|a state in) format (\d+)", page)} == {str(FORMAT)}


def test_a_head_has_every_field_that_another_release_of_the_format_needs() -> None:
    """The reader ignores fields that it does not know, and requires the fields that it needs."""
    one = partition()
    one.restore(STORED)
    kept, now = head(STORED), head(keep(dict(STORED), one))
    assert now["shard"]["format"] == FORMAT
    for before, after in ((kept, now), (kept["shard"], now["shard"]), (kept["sources"][0], now["sources"][0])):
        assert before.keys() <= after.keys()


def test_a_state_that_counts_another_field_is_refused_and_names_it() -> None:
    records, kept = dict(STORED), head(STORED)
    kept["shard"]["fields"]["unknown_bit"] = 0
    records[f"{HEAD}/0"] = STORED[f"{HEAD}/0"][:2] + msgspec.msgpack.encode(kept)
    with pytest.raises(StateFormatError, match=r"counts other fields of a call than this release.*\(unknown_bit\)"):
        partition().restore(records)


def test_a_head_of_other_types_is_refused_in_a_sentence() -> None:
    records, kept = dict(STORED), head(STORED)
    kept["shard"]["fields"] = list(kept["shard"]["fields"])
    records[f"{HEAD}/0"] = STORED[f"{HEAD}/0"][:2] + msgspec.msgpack.encode(kept)
    with pytest.raises(
        StateFormatError, match=r"is of another release \(Expected `object`.*; start the release that wrote"
    ):
        partition().restore(records)


def test_a_state_of_a_release_to_come_is_refused() -> None:
    records = dict(STORED)
    records[f"{HEAD}/0"] = STORED[f"{HEAD}/0"][:2] + msgspec.msgpack.encode(head(STORED) | {"format": FORMAT + 1})
    with pytest.raises(
        StateFormatError, match=f"^the stored head has format {FORMAT + 1}; this release reads format {FORMAT}$"
    ):
        partition().restore(records)
