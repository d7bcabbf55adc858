"""State: a partition that writes a snapshot whenever a window has ended, as the worker does, and its return."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from monitor.files import open_input, pieces
from monitor.partition import Partition
from monitor.policy.model import Policy

_HEAD, _PANES = "head.msgpack", "panes.msgpack"


def judge_and_store(path: str, policy: Policy, piece_lines: int, folder: Path) -> dict[str, Any]:
    """Feed a file to its end, without the windows after its last record; the last snapshot goes to ``folder``."""
    partition = Partition(policy, 1)
    panes: dict[str, bytes] = {}
    head = b""
    records = snapshots = head_bytes = pane_bytes = 0
    snapshot_s = 0.0
    with open_input(path) as stream:
        for _, lines in pieces(stream, piece_lines):
            partition.feed(0, lines)
            ended_ms = partition.shard.at_ms
            partition.advance([False])
            if partition.shard.at_ms == ended_ms:
                continue
            began_s = time.process_time()
            head, fresh, gone = partition.snapshot()
            snapshot_s += time.process_time() - began_s
            snapshots += 1
            head_bytes += len(head)
            pane_bytes += sum(map(len, fresh.values()))
            panes = {key: blob for key, blob in (panes | fresh).items() if key not in gone}
            records += partition.take().rows
    (folder / _HEAD).write_bytes(head)
    (folder / _PANES).write_bytes(msgspec.msgpack.encode(panes))
    return {
        "records": records + partition.take().rows,
        "tenants": partition.shard.tenants,
        "snapshots": snapshots,
        "snapshot_cpu_s": snapshot_s,
        "written_bytes": head_bytes + pane_bytes,
        "written_head_bytes": head_bytes,
        "stored_bytes": len(head) + sum(map(len, panes.values())),
        "stored_head_bytes": len(head),
        "stored_panes": len(panes),
    }


def load(policy: Policy, folder: Path) -> Callable[[], Partition]:
    """Read what was stored; the call that makes a partition of it."""
    head = (folder / _HEAD).read_bytes()
    panes = msgspec.msgpack.decode((folder / _PANES).read_bytes(), type=dict[str, bytes])

    def become() -> Partition:
        partition = Partition(policy, 1)
        partition.restore(head, panes)
        return partition

    return become
