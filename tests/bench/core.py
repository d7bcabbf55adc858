"""The core of a worker without Kafka: eight partitions fed in turns, as they are fetched, each with its snapshots.

``python -m bench.core day`` (or ``dense``), with ``tests`` on the path, is the quickest way to compare two trees.
"""

import hashlib
import json
import sys
from collections import defaultdict
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from bench import usage
from bench.calls import event_ms, head_of, squeezed
from bench.live_contenders import PARTITIONS, Sizes
from bench.policies import named
from bench.workload import CACHE, Workload, make
from monitor.core.garbage_collection import reduce_garbage_collection
from monitor.decoding.input_topics import INPUTS
from monitor.partition.checkpoint import PartitionIdentity
from monitor.partition.partitioner import partition_of
from monitor.partition.record_batch import RecordBatch
from monitor.partition.task import StreamTask
from monitor.policy.model import Policy
from monitor.simulate.arrivals import TOPIC_OF
from schemas import codec

_AT_ONCE = 3_300  # a megabyte, which is what a fetch returns of a partition
_NEVER_MS = 4_102_444_800_000  # no record is ahead of it


def rows_of(path: str, squeeze: int, partitions: int) -> list[list[tuple[int, RecordBatch]]]:
    """For each partition, its rows in the order in which they are fetched, with their source: the calls last."""
    lines = squeezed(Path(path).read_bytes().splitlines(), squeeze)
    values: defaultdict[tuple[int, int], list[bytes]] = defaultdict(list)
    keys: defaultdict[tuple[int, int], list[bytes]] = defaultdict(list)
    homes: dict[bytes, int] = {}
    for line in lines:
        head = head_of(line)
        key = head.tenant_id.encode()
        if key not in homes:
            homes[key] = partition_of(key, partitions, "murmur2")
        place = homes[key], TOPIC_OF[head.type]
        values[place].append(line)
        keys[place].append(key)
    found: list[list[tuple[int, RecordBatch]]] = []
    for number in range(partitions):
        mine: list[tuple[int, RecordBatch]] = []
        for source in (*range(1, len(INPUTS)), 0):
            all_values, all_keys = values[number, source], keys[number, source]
            for start in range(0, len(all_values), _AT_ONCE):
                some = all_values[start : start + _AT_ONCE]
                stop = start + len(some)
                offsets, times = np.arange(start, stop), np.full(len(some), _NEVER_MS)
                mine.append((source, RecordBatch(start, stop, offsets, times, some, all_keys[start:stop])))
        found.append(mine)
    return found


def run_partitions(
    fetched: Sequence[Sequence[tuple[int, RecordBatch]]], policy: Policy, measures: bool = True
) -> dict[str, Any]:
    """Feed the partition, and store what is due after each batch; return one digest of all outputs and snapshots."""
    partitions = [StreamTask(policy, place=PartitionIdentity(number, len(fetched))) for number in range(len(fetched))]
    if measures:
        for partition in partitions:
            partition.write_measures()
    last_ms = max(event_ms(rows.values[-1]) for mine in fetched for _, rows in mine)
    digest = hashlib.sha256()
    records = snapshots = stored = decisions = measured = 0
    for batches in zip_longest(*fetched):
        for partition, batch in zip(partitions, batches, strict=True):
            if batch is None:
                continue
            source, rows = batch
            partition.feed(source, rows)
            records += len(rows)
            if source == 0 and partition.sources.offsets[0] == len(rows):
                for other in range(1, len(INPUTS)):
                    partition.sources.move(other, last_ms + 1)
            if partition.due or partition.pending:
                partition.advance()
                taken = partition.take()
                changes = partition.snapshot()
                snapshots += 1
                decisions += len(taken.output.enforcement)
                measured += len(taken.output.measures)
                stored += sum(len(blob or b"") for _, blob in changes)
                for one in (*taken.output.enforcement, *taken.output.shadow, *taken.output.alerts):
                    digest.update(codec.encode(one))
    counts = {"records": records, "snapshots": snapshots, "stored": stored, "decisions": decisions}
    counts["measures"] = measured
    return {**counts, "digest": digest.hexdigest()}


def main(kind: str, measures: bool) -> None:
    """Measure ``day`` or ``dense``, with the built-in policy."""
    made = make(Workload("base", 10_000, 1_000_000), CACHE)
    fetched = rows_of(made.path, {"day": 1, "dense": Sizes().squeeze}[kind], PARTITIONS)
    reduce_garbage_collection()
    found, cost = usage.cost_of(lambda: run_partitions(fetched, named("built-in"), measures))
    found["us_a_record"] = cost.cpu_s / found["records"] * 1e6
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:] != ["without-measures"])
