"""A simulated day for the worker tests, in pieces, with poison records, duplicates and late calls, and its topics."""

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from aiokafka import AIOKafkaProducer
from deadlines import deadline
from worker_processes import PARTITIONS, callwarden

from helpers.patience import PATIENCE_S
from monitor.decoding.input_topics import INPUTS
from monitor.partition.partitioner import partition_of
from monitor.policy import built_in
from monitor.simulate.run import Run
from monitor.simulate.settings import DAY_MS, HOUR_MS, SimulationSettings
from streams.kafka.topic_names import TopicNames

LATENESS_S = 20
# Reasons of dead letters: invalid JSON, another tenant's key, a wrong partition, a wrong topic, a tombstone.
POISON = ("truncated_json", "wrong_key", "wrong_partition", "wrong_topic", "no_value")
_CALLS = INPUTS.index("cdr")
MARK = "test"  # the header that marks the test's own records


@dataclass(frozen=True)
class Sent:
    """A record to send; ``mark`` names its fault, if any."""

    source: int
    partition: int
    key: bytes
    value: bytes | None
    mark: str = ""


def policy_file(folder: Path, lateness_s: int = LATENESS_S) -> Path:
    """The built-in policy with a short lateness, as a file."""
    rules = Path(built_in.__file__).with_name(built_in.RULES)
    text = rules.read_text("utf-8")
    assert text.count("lateness: 10m ") == 1
    path = folder / "policy.yaml"
    path.write_text(text.replace("lateness: 10m ", f"lateness: {lateness_s}s "), "utf-8")
    catalogue = rules.with_name(built_in.CATALOGUE)
    (folder / built_in.CATALOGUE).write_bytes(catalogue.read_bytes())
    return path


def likely_ban(tenant: str, at_ms: int) -> Sent:
    """A finding of that time, to one of ``PARTITIONS``: it holds refunds and waits for a review."""
    finding: dict[str, object] = {"type": "finding", "tenant_id": tenant, "finding_id": f"f-{tenant}"}
    finding |= {
        "behaviour": "undeclared_business",
        "status": "confirmed",
        "actual_business": "小额贷款中介",
        "updated_ms": at_ms,
    }
    home = partition_of(tenant.encode(), PARTITIONS, "murmur2")
    return Sent(INPUTS.index("findings"), home, tenant.encode(), json.dumps(finding).encode())


def call_now(tenant: str, call_id: str, **more: object) -> Sent:
    """A current unanswered call, to one of ``PARTITIONS``; ``more`` are further fields."""
    now_ms = time.time_ns() // 1_000_000
    call: dict[str, object] = {"type": "cdr", "call_id": call_id, "tenant_id": tenant, "direction": "outbound"}
    call |= {
        "caller": "caller",
        "callee": "callee",
        "start_ms": now_ms - 1000,
        "end_ms": now_ms,
        "outcome": "no_answer",
    }
    home = partition_of(tenant.encode(), PARTITIONS, "murmur2")
    return Sent(_CALLS, home, tenant.encode(), json.dumps(call | more).encode())


def tenants_of(number: int, count: int) -> list[str]:
    """That many tenants of the partition."""
    names = (f"t{n}" for n in range(10_000))
    return [name for name in names if partition_of(name.encode(), PARTITIONS, "murmur2") == number][:count]


def make_topics(environment: Mapping[str, str], replicas: int = 1) -> None:
    """Run `callwarden topics create` for a worker of that environment."""
    output = {"CALLWARDEN_PARTITIONS": str(PARTITIONS), "CALLWARDEN_REPLICATION_FACTOR": str(replicas)}
    callwarden({**environment, **output}, "topics", "create")


class Day:
    """The day that ends at ``now_ms``, in ``pieces`` by arrival. Some records are poison, duplicates or late.

    Each piece ends with a finding against a tenant of its own: at any hour of the day there is a decision after every
    piece. The same arguments give the same day.
    """

    def __init__(
        self,
        seed: int,
        pieces: int,
        tenants: int,
        calls: int,
        partitions: int,
        now_ms: int | None = None,
        late_share: float = 0.001,
    ) -> None:
        self._random = random.Random(seed)
        self._partitions = partitions
        self._late_share = late_share
        now_ms = now_ms or time.time_ns() // 1_000_000
        settings = SimulationSettings(
            tenants,
            1,
            seed,
            calls_per_day=calls,
            start_ms=(now_ms - DAY_MS) // HOUR_MS * HOUR_MS + HOUR_MS,
            lateness_ms=LATENESS_S * 1000,
            late_share=late_share,
            duplicate_share=0.005,
        )
        run = Run(settings)
        rows = [
            (int(at), int(source), str(tenant), line.rstrip("\n").encode())
            for hour in run.hours()
            for at, source, tenant, line in zip(hour.arrival_ms, hour.topic, hour.tenant, hour.line, strict=True)
            if at < now_ms - HOUR_MS / 60
        ]
        self.tenants: list[str] = sorted({tenant for _, _, tenant, _ in rows})
        # Like a real source: records other than calls come first, except those of the evening, which come among the
        # calls.
        evening = rows[-1][0] - DAY_MS // 4
        others = [row for row in rows if row[1] != _CALLS and row[0] < evening]
        rest = [row for row in rows if row[1] == _CALLS or row[0] >= evening]
        self.middle_ms: int = rest[len(rest) // 2][0]  # half of the calls are before it, at any hour of the day
        first = [self._at_home(source, tenant, line) for _, source, tenant, line in others]
        size = -(-len(rest) // pieces)
        self.pieces: list[list[Sent]] = []
        for start in range(0, len(rest), size):
            piece = [self._at_home(source, tenant, line) for _, source, tenant, line in rest[start : start + size]]
            soiled = self._soiled(piece, rest[: max(start - 2 * size, 0)])
            found = likely_ban(f"found-{len(self.pieces)}", rest[start : start + size][-1][0])
            self.pieces.append([*([] if start else first), *soiled, found])

    def _at_home(self, source: int, tenant: str, value: bytes | None, mark: str = "") -> Sent:
        return Sent(source, partition_of(tenant.encode(), self._partitions, "murmur2"), tenant.encode(), value, mark)

    def _soiled(self, piece: list[Sent], long_ago: Sequence[tuple[int, int, str, bytes]]) -> list[Sent]:
        """The piece with poison, duplicates and late calls inserted at random."""
        pick, soiled = self._random, []
        for record in piece:
            soiled.append(record)
            if pick.random() < 0.004:
                soiled.append(self._poison(pick.choice(POISON), record))
            if pick.random() < 0.003:
                soiled.append(record)
            if pick.random() < 3 * self._late_share and long_ago:
                _, source, tenant, line = pick.choice(long_ago)
                if source == _CALLS:
                    call = json.loads(line) | {"call_id": f"late-{pick.randrange(10**9)}"}
                    soiled.append(self._at_home(_CALLS, tenant, json.dumps(call).encode(), "late"))
        return soiled

    def _poison(self, kind: str, record: Sent) -> Sent:
        tenant, value = record.key.decode(), record.value
        assert value is not None
        if kind == "truncated_json":
            return self._at_home(record.source, tenant, value[: len(value) // 2], kind)
        if kind == "wrong_key":
            stranger = self._random.choice([other for other in self.tenants if other != tenant])
            return self._at_home(record.source, stranger, value, kind)
        if kind == "wrong_partition":
            off = (record.partition + self._random.randrange(1, self._partitions)) % self._partitions
            return Sent(record.source, off, record.key, value, kind)
        if kind == "wrong_topic":
            return Sent((record.source + 1) % len(INPUTS), record.partition, record.key, value, kind)
        return Sent(record.source, record.partition, record.key, None, kind)

    def calls_now(self, number: int) -> list[Sent]:
        """A current call in every partition; all windows of the day then close."""
        homes = {self._at_home(_CALLS, tenant, None).partition: tenant for tenant in self.tenants}
        assert len(homes) == self._partitions, "some partition has no tenant; expected another seed"
        return [call_now(tenant, f"now-{number}") for tenant in homes.values()]


class Sender:
    """Sends records to the input topics, and survives a broker that is away for a while."""

    def __init__(self, producer: AIOKafkaProducer, names: TopicNames) -> None:
        self._producer, self._names = producer, names
        self.sent = 0

    async def send(self, records: Iterable[Sent]) -> None:
        """Send all, and wait until they are acknowledged."""
        waiting = []
        async with deadline("all records are acknowledged"):
            for one in records:
                headers = [(MARK, one.mark.encode())] if one.mark else []
                topic = self._names.inputs[one.source]
                waiting.append(
                    await self._producer.send(topic, one.value, key=one.key, partition=one.partition, headers=headers)
                )
            for outcome in await asyncio.gather(*waiting, return_exceptions=True):
                if isinstance(outcome, BaseException):
                    raise outcome
        self.sent += len(waiting)


@asynccontextmanager
async def sender_to(address: str) -> AsyncIterator[AIOKafkaProducer]:
    """A producer that sends everything exactly once, even if the broker is killed meanwhile; if it stays away, the test
    ends.
    """
    producer = AIOKafkaProducer(
        bootstrap_servers=address, enable_idempotence=True, request_timeout_ms=round(1000 * PATIENCE_S)
    )
    await producer.start()
    try:
        yield producer
    finally:
        async with deadline("what the producer still has is acknowledged"):
            await producer.stop()
