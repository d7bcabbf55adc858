"""A stream task with records to read: those of a scenario, or calls at given times."""

import json
from functools import cache

import numpy as np

from monitor.decoding.input_topics import CARRIES, INPUTS
from monitor.partition.checkpoint import DecidingSettings
from monitor.partition.processing.task_output import TaskOutput
from monitor.partition.record_batch import RecordBatch
from monitor.partition.task import StreamTask
from monitor.policy.load import loads
from monitor.policy.model import Policy
from oracle.scenario_generator import scenario
from schemas import codec
from schemas.inputs import Cdr

T0, MINUTE = 1_772_409_600_000, 60_000
SOURCE = {str(kind.__struct_config__.tag): INPUTS.index(name) for name, kinds in CARRIES.items() for kind in kinds}


def sources_of(seed: int) -> tuple[Policy, list[list[bytes]], int]:
    """A scenario's policy, its records by source, and the latest permitted time."""
    policy, sources, not_after_ms = _sources_of(seed)
    return policy, [list(lines) for lines in sources], not_after_ms


@cache
def _sources_of(seed: int) -> tuple[Policy, list[list[bytes]], int]:
    made = scenario(seed)
    sources: list[list[bytes]] = [[] for _ in INPUTS]
    for line in (line for file in made.files for line in file):
        raw = line.encode() if isinstance(line, str) else line
        try:
            source = SOURCE[json.loads(raw)["type"]]
        except (ValueError, KeyError, TypeError):
            source = 0
        if raw.strip():
            sources[source].append(raw)
    return loads(json.dumps(made.policy), "policy.json"), sources, made.not_after_ms


def rows(lines: list[bytes], start: int, stop: int, stamp_ms: int) -> RecordBatch:
    """These lines from offset ``start`` up to ``stop``, with one timestamp."""
    return RecordBatch(start, stop, np.arange(start, stop), np.full(stop - start, stamp_ms), lines[start:stop])


def event_time_of(line: bytes) -> int | None:
    """The event time of a record, or None if it is invalid."""
    try:
        return codec.event_time(codec.read(line))
    except codec.InvalidRecordError:
        return None


def calls_at(times_ms: list[int], start: int, stamp_ms: int, name: str = "c") -> RecordBatch:
    """Calls that ended at these times, as rows from ``start`` on."""
    lines = [
        codec.encode(Cdr(f"{name}{start + n}", "acme", "outbound", "1", "2", at_ms, at_ms, "no_answer"))
        for n, at_ms in enumerate(times_ms)
    ]
    return RecordBatch(
        start, start + len(lines), np.arange(start, start + len(lines)), np.full(len(lines), stamp_ms), lines
    )


def commit(partition: StreamTask, stored: dict[str, bytes], hand_over: bool = False) -> TaskOutput:
    """The steps of a transaction."""
    partition.advance()
    taken = partition.take()
    for key, value in partition.snapshot(hand_over):
        stored.pop(key, None)
        if value is not None:
            stored[key] = value
    return taken


def new_task(max_ahead_ms: int = 60 * MINUTE) -> StreamTask:
    return StreamTask(sources_of(1)[0], live=DecidingSettings(max_ahead_ms=max_ahead_ms))
