"""The first check: the output topics against a replay of the input topics and the clock log."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec
import numpy as np

from crash.broker import Broker
from crash.log import Entry, Record
from crash.memory_fetched import signatures_among, unreadable_among
from crash.traffic import NAMES
from helpers.single_records import each_record
from monitor.decoding.input_topics import INPUTS
from monitor.partition.checkpoint import DecidingSettings, PartitionIdentity
from monitor.partition.journal import JournalEntry
from monitor.partition.processing.task_output import TaskOutput
from monitor.partition.record_batch import RecordBatch
from monitor.partition.task import StreamTask
from monitor.policy.model import Policy
from oracle.alert_sequences import wrong_alerts
from schemas.outputs import Alert
from streams.kafka.api import TP
from streams.topics import transaction_records as emit

JUDGED = ("enforcement", "shadow", "evidence", "measures", "late", "dead-letter")


def wrong(broker: Broker, policy: Policy, live: DecidingSettings, partitions: int) -> Iterator[str]:
    """Return what is missing, extra or different, a line each. No transaction may be open."""
    for number in range(partitions):
        partition = replayed(broker, policy, live, PartitionIdentity(number, partitions))
        taken = partition.take()
        expected = _by_topic(number, taken)
        for name in JUDGED:
            topic = NAMES.output(name)
            got = Counter(_records(broker, TP(topic, number)))
            should = Counter(expected[topic])
            yield from (f"{topic}-{number} lacks {_short(record)}" for record in (should - got).elements())
            yield from (f"{topic}-{number} should not have {_short(record)}" for record in (got - should).elements())
        partition.early()
        ahead = partition.take().output.alerts
        found = wrong_alerts(alerts(broker, number), taken.output.alerts, partition.watermark.ms, ahead)
        yield from (f"{NAMES.output('alerts')}-{number}: {reported}" for reported in found)


def content(broker: Broker, partitions: int) -> list[tuple[str, int, int, list[int]]]:
    """Return all that `wrong` depends on: the offsets in the logs that it reads. What is at an offset never changes."""
    found = []
    for number in range(partitions):
        for topic in (*(NAMES.input_prefix + name for name in INPUTS), *map(NAMES.output, (*JUDGED, "alerts"))):
            offsets = [entry.offset for entry in _entries(broker, TP(topic, number))]
            found.append((topic, number, broker.logs[TP(topic, number)].last_stable, offsets))
        clock = TP(NAMES.output("clock"), number)
        told = [one.offset for one in _entries(broker, clock) if one.record and not emit.is_tick(one.record.value)]
        found.append((clock.topic, number, 0, told))
    return found


def replayed(broker: Broker, policy: Policy, live: DecidingSettings, place: PartitionIdentity) -> StreamTask:
    """Return a partition that has read its inputs in one go and decided as far as the clocks allow."""
    partition = StreamTask(policy, b"secret", live, place, replaying=True)
    partition.write_measures()
    entries: dict[int | None, list[JournalEntry]] = {}
    for record in _records(broker, TP(NAMES.output("clock"), place.number)):
        if emit.is_tick(record.value):
            continue
        source, entry = emit.decode_journal_entry(record.value or b"")
        entries.setdefault(source, []).append(entry)
    partition.recall(None, entries.get(None, []))
    for source, name in enumerate(INPUTS):
        partition.recall(source, entries.get(source, []))
        partition.feed(source, _rows(broker, TP(NAMES.input_prefix + name, place.number)))
    partition.advance()
    return partition


def _by_topic(number: int, taken: TaskOutput) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = {NAMES.output(name): [] for name in JUDGED}
    for out in each_record(emit.records(NAMES, number, taken, [])):
        found.setdefault(out.topic, []).append(Record(out.key, out.value, out.headers))
    return found


def ids(broker: Broker, number: int) -> list[str]:
    """Return the event ids of the enforcement topic, in its order."""
    return [json.loads(r.value or b"")["id"] for r in _records(broker, TP(NAMES.output("enforcement"), number))]


def alerts(broker: Broker, number: int) -> list[Alert]:
    """Return the alerts of a partition, in their topic's order."""
    return [
        msgspec.json.decode(r.value or b"", type=Alert) for r in _records(broker, TP(NAMES.output("alerts"), number))
    ]


def _records(broker: Broker, tp: TP) -> list[Record]:
    return [entry.record for entry in _entries(broker, tp) if entry.record is not None]


def _entries(broker: Broker, tp: TP) -> Sequence[Entry]:
    return broker.logs[tp].committed(0)


def _rows(broker: Broker, tp: TP) -> RecordBatch:
    entries = _entries(broker, tp)
    records = _records(broker, tp)
    return RecordBatch(
        0,
        broker.logs[tp].last_stable,
        np.array([entry.offset for entry in entries], np.int64),
        np.array([entry.timestamp_ms for entry in entries], np.int64),
        [record.value for record in records],
        [record.key for record in records],
        unreadable_among(entries),
        signatures_among(entries),
    )


def _short(record: Record) -> str:
    return f"{(record.value or b'')[:400]!r} {dict(record.headers)}"
