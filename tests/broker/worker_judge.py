"""The judge of the worker tests: the output topics against a replay of the input topics."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord
from deadlines import deadline
from msgspec import json
from rawkafka.batches import HEADER
from worker_traffic import MARK

from monitor.partition.checkpoint import DecidingSettings
from monitor.partition.partitioner import partition_of
from monitor.policy.model import Policy
from monitor.replay.run import ReplayProgress
from oracle.alert_sequences import wrong_alerts
from schemas import codec
from schemas.outputs import Alert, Enforcement
from streams.audit import report as tell
from streams.audit.partition import AuditContext
from streams.audit.run import audit
from streams.kafka.cluster import KafkaCluster
from streams.kafka.topic_names import TopicNames
from streams.ops.topic_replay import TopicReplayOptions, replay_topics
from streams.settings.load import load


class Wrong(NamedTuple):
    """A record that a test made wrong: ``mark`` is the expected error code, or ``late``.

    If ``whole``, it is a record batch that no client can read, and its place is that of the last record.
    """

    place: tuple[str, int, int]
    mark: str
    key: bytes | None
    value: bytes | None
    whole: bool = False


@dataclass
class Logs:
    """The committed records of topics, by topic and partition."""

    records: dict[tuple[str, int], list[ConsumerRecord]]

    def of(self, topic: str) -> list[ConsumerRecord]:
        """All records of a topic, partition by partition."""
        return [record for (name, _), some in sorted(self.records.items()) if name == topic for record in some]

    def marked(self, topics: Iterable[str]) -> list[Wrong]:
        """The records that the test made wrong, by their mark."""
        found = []
        for topic in topics:
            for record in self.of(topic):
                if mark := dict(record.headers).get(MARK):
                    place = record.topic, record.partition, record.offset
                    found.append(Wrong(place, mark.decode(), record.key, record.value))
        return found


async def read_all(address: str, topics: Iterable[str], partitions: int) -> Logs:
    """Read all records of these topics with a client that is not ours."""
    tps = [TopicPartition(topic, number) for topic in topics for number in range(partitions)]
    logs = Logs({(tp.topic, tp.partition): [] for tp in tps})
    async with (
        AIOKafkaConsumer(
            bootstrap_servers=address, isolation_level="read_committed", auto_offset_reset="earliest"
        ) as consumer,
        deadline(f"all records of {', '.join(topics)}"),
    ):
        consumer.assign(tps)
        ends = await consumer.end_offsets(tps)
        await consumer.seek_to_beginning(*tps)
        for tp in tps:
            while await consumer.position(tp) < ends[tp]:
                for mine, some in (await consumer.getmany(timeout_ms=200)).items():
                    logs.records[mine.topic, mine.partition] += some
    return logs


async def assert_exact(
    address: str,
    names: TopicNames,
    policy: Policy,
    live: DecidingSettings,
    partitions: int,
    unknown_reviews: bool = False,
    wrong: Sequence[Wrong] | None = None,
) -> Counter[str]:
    """Check that the workers wrote exactly the expected decisions, late records and dead letters, each once, byte for
    byte.

    Alerts must follow an allowed sequence. Returns the number of records of each topic and of each kind of poison, and
    the number of records read, accepted and duplicated. With ``unknown_reviews``, workers and replay may reject reviews
    of unknown decisions: those of another policy, or of a record that came after its source was silent and was decided
    at the clock instead of its own time. ``wrong`` lists the records that the test made wrong if no client can read the
    inputs; without it, `MARK` in the inputs identifies them.
    """
    decided: dict[int, list[Enforcement]] = {number: [] for number in range(partitions)}
    watermarks: list[int] = []

    def take(progress: ReplayProgress) -> None:
        watermarks.append(progress.watermark_ms or 0)
        for event in progress.decided:
            decided[partition_of(event.subject.encode(), partitions, "murmur2")].append(event)

    cluster = KafkaCluster(load({"bootstrap_servers": address}))
    try:
        expected = await replay_topics(
            cluster, names, policy, TopicReplayOptions(live=live, to_watermark=True), progress=take
        )
        report = await audit(AuditContext(cluster, names, policy, live=live))
    finally:
        await cluster.stop()
    outputs = {name: names.output(name) for name in ("enforcement", "shadow", "alerts", "late", "dead-letter")}
    inputs = names.inputs if wrong is None else ()
    logs = await read_all(address, [*inputs, *outputs.values()], partitions)

    found_wrong = [line for one in report.differences for line in tell.difference(one)]
    assert report.clean, [*found_wrong, *(line for one in report.partitions for line in tell.partition(one))]
    assert sum(one.compared["enforcement"].same for one in report.partitions) == sum(map(len, decided.values()))

    for number, events in decided.items():
        found = [record.value for record in logs.records[outputs["enforcement"], number]]
        wanted = [codec.encode(event) for event in events]
        _assert_same(f"enforcement {number}", found, wanted)
        assert found == wanted, f"enforcement {number}: the same events in another order"
    _assert_same("shadow", _values(logs, outputs["shadow"]), map(codec.encode, expected.shadow))
    late = Counter(_digest(record) for record in logs.of(outputs["late"]))
    _assert_same("late", late.elements(), map(_sha256, expected.late))
    # The replay ends with a final check of each partition, in order.
    for number, watermark_ms in enumerate(watermarks[-partitions:]):
        alerts = [json.decode(record.value, type=Alert) for record in logs.records[outputs["alerts"], number]]
        judged = [a for a in expected.alerts if partition_of(a.tenant_id.encode(), partitions, "murmur2") == number]
        misfits = list(wrong_alerts(alerts, judged, watermark_ms))
        assert not misfits, f"alerts {number}: {misfits[:5]}"

    letters = {}
    for letter in logs.of(outputs["dead-letter"]):
        headers = {name: value.decode() for name, value in letter.headers}
        place = headers["topic"], int(headers["partition"]), int(headers["offset"])
        assert place not in letters, f"two dead letters of {place}"
        letters[place] = (headers["reason"], letter)
    counts: Counter[str] = Counter({topic: len(logs.of(topic)) for topic in [*inputs, *outputs.values()]})
    summary = expected.summary
    counts.update(read=summary.read, accepted=summary.accepted, duplicates=summary.duplicates)
    poison = logs.marked(inputs) if wrong is None else wrong
    counts.update(one.mark for one in poison)
    for digest, times in Counter(_sha256(one.value) for one in poison if one.mark == "late").items():
        assert late[digest] == times, f"late record {digest.hex()}: {late[digest]} of {times}"
    for one in poison:
        if one.mark != "late":
            reason, letter = letters.pop(one.place)
            assert reason.startswith(one.mark), (one.mark, reason)
            assert _is_copy(letter, one), (one.mark, one.key, letter.key, one.value, letter.value)
    of_others = {
        place for place, (reason, *_) in letters.items() if unknown_reviews and reason.startswith("unknown_enforcement")
    }
    rejected = {
        (topic, int(number), r.line) for r in expected.rejected for topic, _, number in [r.file.rpartition("-")]
    }
    assert of_others <= rejected
    counts["of others"] = len(of_others)
    letters = {place: letter for place, letter in letters.items() if place not in of_others}
    assert not letters, f"dead letters of records that are well: {list(letters.items())[:3]}"
    assert len(expected.rejected) == sum(one.mark != "late" for one in poison) + len(of_others)
    return counts


def _values(logs: Logs, topic: str) -> list[bytes]:
    return [record.value for record in logs.of(topic)]


def _sha256(value: bytes | None) -> bytes:
    return hashlib.sha256(value or b"").hexdigest().encode()


def _digest(record: ConsumerRecord) -> bytes:
    """The SHA-256 of the original of a late record or dead letter, which of a large record holds only the head."""
    return dict(record.headers).get("sha256") or _sha256(record.value)


def _is_copy(letter: ConsumerRecord, one: Wrong) -> bool:
    """Whether it is an exact copy of the record; of a batch the broker has rewritten the header."""
    if one.whole:
        assert one.value is not None
        return letter.key is None and letter.value[HEADER.size :] == one.value[HEADER.size :]
    value = one.value
    head = value if value is None or len(letter.value or b"") == len(value) else value[: len(letter.value)]
    return (letter.key, letter.value, _digest(letter)) == (one.key, head, _sha256(value))


def _assert_same(what: str, found: Iterable[bytes], wanted: Iterable[bytes]) -> None:
    """The same values with the same counts; otherwise the first differences are shown."""
    came, due = Counter(found), Counter(wanted)
    missing, surplus = list((due - came).elements()), list((came - due).elements())
    assert not missing + surplus, (
        f"{what}: {len(missing)} missing, {len(surplus)} too many of {due.total()}\n"
        f"missing {missing[:2]}\ntoo many {surplus[:2]}"
    )
