"""A worker that is timed at the functions where one phase calls the next: its CPU time by phase.

Run as ``python -m bench.profiled_worker worker --json-logs``; when it stops, it prints the result.
"""

import gc
import json
from collections import Counter
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

from bench.phases import PHASES, Clock, profiled
from bench.state import kind_of
from helpers.single_records import each_record
from monitor.partition.record_batch import RecordBatch
from monitor.partition.task import StreamTask
from streams.kafka.outputs import OutputColumns, OutputRecord, Outputs
from streams.topics import transaction_records as emit

# In addition to those of a replay. `REST` is the worker's time between them: the event loop, sockets, aiokafka, Faust.
WORKER = {
    "fetch: responses": ("aiokafka.conn:AIOKafkaConnection._handle_frame",),
    "fetch: parse batches": ("streams.kafka.fetch.columnar_fetch:_getall",),
    "fetch: columns": ("streams.kafka.consumer:columns",),
    "source clocks and merge": (
        "monitor.decoding.source:Source.place",
        "monitor.partition.processing.record_intake:merge",
    ),
    "check keys": ("monitor.partition.key_check:KeyCheck.check",),
    "feed batches": ("monitor.partition.task:StreamTask.feed",),
    "check for due work": ("monitor.partition.task:StreamTask.due",),
    "early evaluation": ("monitor.partition.task:StreamTask.early",),
    "advance watermark": ("monitor.partition.task:StreamTask.advance",),
    "write snapshot": ("monitor.partition.task:StreamTask.snapshot",),
    "build output records": ("streams.topics.transaction_records:records",),
    "produce: build batches": (
        "streams.kafka.produce.native_batches:encode",
        "streams.kafka.produce.encoded_batch:EncodedBatch.build",
    ),
    "metrics": ("streams.worker.metrics:WorkerMetrics.committed",),
}
_REPLAY_ONLY = {"read and split lines", "write output"}
GARBAGE = "garbage collection"
START = "start, to the first record"


class Written:
    """The records written to the topics with each transaction, before compression."""

    def __init__(self) -> None:
        self.transactions = 0
        self.bytes: Counter[str] = Counter()

    def add(self, outs: Outputs) -> None:
        """Count a transaction's records."""
        self.transactions += 1
        for out in each_record(outs):
            name = out.topic.rpartition(".")[2]
            if name == "state":
                name = kind_of((out.key or b"").decode())
            self.bytes[name] += len(out.key or b"") + len(out.value or b"")


def main() -> None:
    """Run a worker; then print the result."""
    from streams.cli.app import main as callwarden

    clock, written, records = Clock(), Written(), emit.records

    def counted_records(*arguments: Any) -> list[OutputRecord | OutputColumns]:
        outs = records(*arguments)
        written.add(outs)
        return outs

    def from_the_first_record(task: StreamTask, source: int, rows: RecordBatch) -> None:
        if START not in clock.calls:
            clock.begin(before=START)
        feed(task, source, rows)

    def on_collection(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            clock.enter(GARBAGE)
        else:
            clock.leave()

    phases = {name: where for name, where in PHASES.items() if name not in _REPLAY_ONLY} | WORKER
    with ExitStack() as stack:
        stack.enter_context(patch.object(emit, "records", counted_records))
        stack.enter_context(profiled(clock, phases))
        feed = StreamTask.feed
        stack.enter_context(patch.object(StreamTask, "feed", from_the_first_record))
        stack.enter_context(clock)
        gc.callbacks.append(on_collection)
        try:
            callwarden()
        except SystemExit as end:
            if end.code:
                raise
        finally:
            gc.callbacks.remove(on_collection)
    found = [[name, ns / 1e9, clock.calls[name]] for name, ns in clock.spent_ns.most_common()]
    print(
        json.dumps(
            {
                "event": "phases",
                "phases": found,
                "transactions": written.transactions,
                "written_bytes": dict(written.bytes),
            }
        ),
        flush=True,
    )


if __name__ == "__main__":
    main()
