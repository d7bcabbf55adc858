"""Writes `stored-state.json`: a state in today's format, and the decisions that follow from it.

Run it only when the format (`monitor.core.codec.FORMAT`) changes. A state that the code under test has written itself
proves nothing.
"""

import base64
import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from monitor.partition.checkpoint import DecidingSettings
from monitor.partition.record_batch import RecordBatch
from monitor.partition.task import StreamTask
from monitor.policy.load import loads
from oracle.scenario_generator import lines_of, scenario


def made(seed: int) -> dict[str, Any]:
    """Read half of the records in turns, with early evaluation. Returns the stored state and the outputs of the other
    half.
    """
    scene = scenario(seed, "disputes", 160)
    policy = loads(json.dumps(scene.policy), "policy.json")
    files = lines_of(scene)
    partition = StreamTask(policy, b"secret", DecidingSettings(max_ahead_ms=0), sources=len(files))
    stored: dict[str, bytes] = {}

    def feed(source: int, start: int, stop: int) -> None:
        stamps = np.full(stop - start, scene.not_after_ms)
        offsets = np.arange(start, stop)
        partition.feed(source, RecordBatch(start, stop, offsets, stamps, files[source][start:stop]))

    def step(tenth: int) -> None:
        for source, lines in enumerate(files):
            feed(source, len(lines) * tenth // 10, len(lines) * (tenth + 1) // 10)
        partition.early()
        partition.advance()

    for tenth in range(5):
        step(tenth)
        partition.take()
        for key, value in partition.snapshot(hand_over=tenth == 4):
            stored.pop(key, None)
            if value is not None:
                stored[key] = value
    half = partition.sources.offsets
    for tenth in range(5, 10):
        step(tenth)
    partition.finish()
    taken = partition.take()
    outputs = {"enforcement": taken.output.enforcement, "shadow": taken.output.shadow, "alerts": taken.output.alerts}
    return {
        "policy": scene.policy,
        "not_after_ms": scene.not_after_ms,
        "files": [[line.decode() for line in lines] for lines in files],
        "read": half,
        "stored": {key: base64.b64encode(value).decode() for key, value in stored.items()},
        "after": {name: [msgspec.json.encode(one).decode() for one in said] for name, said in outputs.items()},
    }


def main() -> None:
    """Write the file."""
    path = Path(__file__).parent / "stored-state.json"
    path.write_text(json.dumps(made(seed=46), ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main()
