"""State: a partition that writes a snapshot whenever a window has ended, as the worker does, and its recovery."""

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from monitor.partition.checkpoint import HEAD
from monitor.partition.record_batch import RecordBatch
from monitor.partition.task import StreamTask
from monitor.policy.model import Policy
from monitor.replay.files import line_chunks, open_input

_STORED = "stored.msgpack"
_NEVER_MS = 4_102_444_800_000  # no record is ahead of it


def judge_and_store(path: str, policy: Policy, piece_lines: int, folder: Path) -> dict[str, Any]:
    """Feed a file to its end, without the windows after its last record; the last snapshot goes to ``folder``."""
    partition = StreamTask(policy, sources=1)
    stored: dict[str, bytes] = {}
    written: Counter[str] = Counter()
    records = snapshots = 0
    snapshot_s = 0.0
    with open_input(path) as stream:
        for first_line, lines in line_chunks(stream, piece_lines):
            first_line -= 1
            offsets = np.arange(first_line, first_line + len(lines))
            partition.feed(
                0, RecordBatch(first_line, first_line + len(lines), offsets, np.full(len(lines), _NEVER_MS), lines)
            )
            ended_ms = partition.shard.at_ms
            partition.advance()
            if partition.shard.at_ms == ended_ms:
                continue
            began_s = time.process_time()
            changes = partition.snapshot()
            snapshot_s += time.process_time() - began_s
            snapshots += 1
            for key, blob in changes:
                stored.pop(key, None)
                if blob is not None:
                    stored[key] = blob
                    written[kind_of(key)] += len(blob)
            records += partition.take().rows
    (folder / _STORED).write_bytes(msgspec.msgpack.encode(stored))
    kept: Counter[str] = Counter()
    for key, blob in stored.items():
        kept[kind_of(key)] += len(blob)
    return {
        "records": records + partition.take().rows,
        "tenants": partition.shard.tenants,
        "snapshots": snapshots,
        "snapshot_cpu_s": snapshot_s,
        "written_bytes": dict(written),
        "stored_bytes": dict(kept),
        "stored_entries": dict(Counter(map(kind_of, stored))),
    }


def kind_of(key: str) -> str:
    """The kind of data that an entry stores."""
    for kind in (HEAD, "handover"):
        if key.startswith(kind):
            return kind
    pages = dict.fromkeys("tcqvdo", "tenant records")  # `monitor.core.tenants.tenant_store`
    kinds = {"f": "panes", "h": "panes", "n": "names", "e": "first calls", "a": "alerts", "p": "policies", "b": "bans"}
    return (kinds | pages)[key[0]]


def load(policy: Policy, folder: Path) -> Callable[[], StreamTask]:
    """Read the stored state; return a function that restores a partition from it."""
    stored = msgspec.msgpack.decode((folder / _STORED).read_bytes(), type=dict[str, bytes])

    def restore() -> StreamTask:
        partition = StreamTask(policy, sources=1)
        partition.restore(stored)
        return partition

    return restore
