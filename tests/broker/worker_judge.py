"""The judge of the worker tests: what is in the output topics against a replay from the input topics."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord
from deadlines import deadline
from msgspec import json
from worker_traffic import MARK

from monitor.head import Live
from monitor.keying import partition_of
from monitor.policy.model import Policy
from monitor.replay import Progress
from oracle.courses import wrong_alerts
from schemas import codec
from schemas.outputs import Alert, Enforcement
from streams.audit import tell
from streams.audit.partition import Setup
from streams.audit.run import audit
from streams.kafka import KafkaCluster
from streams.names import Names
from streams.settings import load
from streams.topicreplay import replay_topics


@dataclass
class Logs:
    """The committed records of topics, by topic and partition."""

    records: dict[tuple[str, int], list[ConsumerRecord]]

    def of(self, topic: str) -> list[ConsumerRecord]:
        """All of a topic, partition after partition."""
        return [record for (name, _), some in sorted(self.records.items()) if name == topic for record in some]

    def marked(self, topics: Iterable[str]) -> list[tuple[str, ConsumerRecord]]:
        """Those that the test made wrong, and in what way."""
        found = []
        for topic in topics:
            for record in self.of(topic):
                if mark := dict(record.headers).get(MARK):
                    found.append((mark.decode(), record))
        return found


async def read_all(address: str, topics: Iterable[str], partitions: int) -> Logs:
    """All that these topics hold, read by a consumer that is not ours."""
    tps = [TopicPartition(topic, number) for topic in topics for number in range(partitions)]
    logs = Logs({(tp.topic, tp.partition): [] for tp in tps})
    async with (
        AIOKafkaConsumer(
            bootstrap_servers=address, isolation_level="read_committed", auto_offset_reset="earliest"
        ) as consumer,
        deadline(f"all records of {', '.join(topics)}", 180),
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
    address: str, names: Names, policy: Policy, live: Live, partitions: int, canary: bool = False
) -> Counter[str]:
    """What the workers put out is what they had to: decisions, late and rejected records, once, byte for byte.

    Alerts took the courses that they may. Returns how many records there are of each topic and of each kind of poison,
    and how many came twice. To a ``canary`` come reviews of decisions that it has not made.
    """
    decided: dict[int, list[Enforcement]] = {number: [] for number in range(partitions)}
    watermarks: list[int] = []

    def take(progress: Progress) -> None:
        watermarks.append(progress.watermark_ms or 0)
        for event in progress.decided:
            decided[partition_of(event.subject.encode(), partitions, "murmur2")].append(event)

    cluster = KafkaCluster(load({"bootstrap_servers": address}))
    try:
        expected = await replay_topics(cluster, names, policy, live=live, to_watermark=True, progress=take)
        report = await audit(Setup(cluster, names, policy, live=live))
    finally:
        await cluster.stop()
    outputs = {name: names.output(name) for name in ("enforcement", "shadow", "alerts", "late", "dead-letter")}
    logs = await read_all(address, [*names.inputs, *outputs.values()], partitions)

    found_wrong = [line for one in report.differences for line in tell.difference(one)]
    assert report.clean, [*found_wrong, *(line for one in report.partitions for line in tell.partition(one))]
    assert sum(one.compared["enforcement"].same for one in report.partitions) == sum(map(len, decided.values()))

    for number, events in decided.items():
        found = [record.value for record in logs.records[outputs["enforcement"], number]]
        wanted = [codec.encode(event) for event in events]
        _assert_same(f"enforcement {number}", found, wanted)
        assert found == wanted, f"enforcement {number}: the same events in another order"
    _assert_same("shadow", _values(logs, outputs["shadow"]), map(codec.encode, expected.shadow))
    _assert_same("late", _values(logs, outputs["late"]), expected.late)
    # The replay ends with a last look at each partition, in their order.
    for number, watermark_ms in enumerate(watermarks[-partitions:]):
        alerts = [json.decode(record.value, type=Alert) for record in logs.records[outputs["alerts"], number]]
        judged = [a for a in expected.alerts if partition_of(a.tenant_id.encode(), partitions, "murmur2") == number]
        wrong = list(wrong_alerts(alerts, judged, watermark_ms))
        assert not wrong, f"alerts {number}: {wrong[:5]}"

    letters = {}
    for letter in logs.of(outputs["dead-letter"]):
        headers = {name: value.decode() for name, value in letter.headers}
        place = headers["topic"], int(headers["partition"]), int(headers["offset"])
        assert place not in letters, f"two dead letters of {place}"
        letters[place] = (headers["reason"], letter.key, letter.value)
    counts: Counter[str] = Counter({topic: len(logs.of(topic)) for topic in [*names.inputs, *outputs.values()]})
    counts["duplicates"] = expected.summary.duplicates
    late = Counter(_values(logs, outputs["late"]))
    poison = logs.marked(names.inputs)
    for mark, record in poison:
        counts[mark] += 1
        if mark == "late":
            assert late[record.value] == 1, f"late record {record.offset} of {record.topic}-{record.partition}"
            continue
        reason, key, value = letters.pop((record.topic, record.partition, record.offset))
        assert reason.startswith(mark), (mark, reason)
        assert (key, value) == (record.key, record.value), (mark, key, record.key, value, record.value)
    of_others = {
        place for place, (reason, *_) in letters.items() if canary and reason.startswith("unknown_enforcement")
    }
    refused = {(topic, int(number), r.line) for r in expected.rejected for topic, _, number in [r.file.rpartition("-")]}
    assert of_others <= refused
    counts["of others"] = len(of_others)
    letters = {place: letter for place, letter in letters.items() if place not in of_others}
    assert not letters, f"dead letters of records that are well: {list(letters.items())[:3]}"
    assert len(expected.rejected) == sum(mark != "late" for mark, _ in poison) + len(of_others)
    return counts


def _values(logs: Logs, topic: str) -> list[bytes]:
    return [record.value for record in logs.of(topic)]


def _assert_same(what: str, found: Iterable[bytes], wanted: Iterable[bytes]) -> None:
    """The same values as often; else the first that differ are told."""
    came, due = Counter(found), Counter(wanted)
    missing, surplus = list((due - came).elements()), list((came - due).elements())
    assert not missing + surplus, (
        f"{what}: {len(missing)} missing, {len(surplus)} too many of {due.total()}\n"
        f"missing {missing[:2]}\ntoo many {surplus[:2]}"
    )
