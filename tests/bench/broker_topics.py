"""The broker's side of the live bench: topics created, filled and read, and a group's progress."""

import asyncio
import itertools
import os
import subprocess
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from bench.calls import event_ms, head_of, squeezed
from bench.process import THIS, TIMEOUT_S, ProcessError, Program
from bench.state import kind_of
from monitor.partition.partitioner import partition_of
from monitor.simulate.arrivals import CALLS, TOPIC_OF
from streams.kafka.api import TP
from streams.kafka.cluster import KafkaCluster
from streams.kafka.topic_names import OUTPUTS, TopicNames
from streams.settings.load import Settings, load, variable

BATCH_BYTES = 1 << 19  # as `streams.dev.traffic` sends
LAST_COMPLAINT = "all-before-are-decided"
_LAST_BEFORE_MS = 30 * 60_000  # more than a policy's lateness, less than the time since the workload's end
_POLL_S = 0.2


class Deployment(msgspec.Struct, frozen=True):
    """The broker, topic prefixes and application id of a worker."""

    address: str
    inputs: str
    outputs: str
    application: str
    partitions: int
    policy: str | None = None

    @property
    def names(self) -> TopicNames:
        """The worker's topics."""
        return TopicNames(self.inputs, self.outputs)

    @property
    def settings(self) -> Settings:
        """The settings of the worker."""
        return load(self._options())

    @property
    def environment(self) -> dict[str, str]:
        """The settings as environment variables."""
        return {variable(name): str(value) for name, value in self._options().items()}

    def _options(self) -> dict[str, object]:
        options = {
            "bootstrap_servers": self.address,
            "input_prefix": self.inputs,
            "output_prefix": self.outputs,
            "application_id": self.application,
            "partitions": self.partitions,
            "replication_factor": 1,
            "policy": self.policy,
        }
        return {name: value for name, value in options.items() if value is not None}


class Evidence(msgspec.Struct):
    """The complaints of a decision."""

    complaint_ids: list[str] = []


class DecisionData(msgspec.Struct):
    """What led to a decision."""

    evidence: Evidence


class Decision(msgspec.Struct):
    """The fields of an enforcement record that the bench reads."""

    id: str
    data: DecisionData

    @property
    def is_last(self) -> bool:
        """Whether its partition has decided all earlier records that `fill` sent."""
        return self.data.evidence.complaint_ids == [LAST_COMPLAINT]


def create_topics(deployment: Deployment, program: Program = THIS, module: str | None = None) -> None:
    """Create all topics that do not exist yet, as operators do, with the command ``module`` of ``program``."""
    command = [*program.command, module or "streams.cli", "topics", "create"]
    environment = {**os.environ, **deployment.environment, "PYTHONPATH": program.path}
    try:
        subprocess.run(command, check=True, capture_output=True, env=environment, timeout=TIMEOUT_S)
    except subprocess.SubprocessError as error:
        output = (error.stderr or b"").decode() if isinstance(error, subprocess.CalledProcessError) else ""
        raise ProcessError(
            f"the topics of {deployment.inputs} and {deployment.outputs} were not created: {error}\n{output}"
        ) from None


async def create_logs(deployment: Deployment, topics: Sequence[str]) -> None:
    """Create compacted topics, and wait until clients know them.

    A Faust app that creates its changelogs itself may find that they have no partitions yet, and its agent then never
    starts.
    """
    until_s = time.monotonic() + TIMEOUT_S
    compacted = {"cleanup.policy": "compact"}
    async with _admin(deployment) as admin:
        await admin.create_topics(
            [NewTopic(name, deployment.partitions, 1, topic_configs=compacted) for name in topics]
        )
        while not {*topics} <= {*await admin.list_topics()}:
            if time.monotonic() > until_s:
                raise ProcessError(f"waited {TIMEOUT_S:.0f} s for the broker to list {', '.join(topics)}")
            await asyncio.sleep(_POLL_S)


async def delete_outputs(deployment: Deployment) -> None:
    """Delete the output topics, and those that a peer made, to spare disk and broker."""
    async with _admin(deployment) as admin:
        mine = {*map(deployment.names.output, OUTPUTS)}
        topics = [name for name in await admin.list_topics() if name in mine or _is_of_peer(name, deployment)]
        await admin.delete_topics(topics)


async def changelog_bytes(deployment: Deployment) -> int:
    """Bytes that a peer has written to its changelogs."""
    async with _admin(deployment) as admin:
        topics = [name for name in await admin.list_topics() if _is_of_peer(name, deployment) and "changelog" in name]
    return (await stored(deployment, topics))[0] if topics else 0


def _is_of_peer(topic: str, deployment: Deployment) -> bool:
    """Whether a peer with that application id made the topic; Quix begins the names of changelogs with a word."""
    return topic.removeprefix("changelog__").startswith(f"{deployment.application}-")


@asynccontextmanager
async def _admin(deployment: Deployment) -> Any:
    admin = AIOKafkaAdminClient(bootstrap_servers=deployment.address)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


# Filling ------------------------------------------------------------------------------------------------------------


async def fill(deployment: Deployment, path: str, squeeze: int = 1, prompt: bool = False) -> int:
    """Send the records of the file, as `callwarden live` sends past records: calls last. Returns their number.

    Event times are compressed by ``squeeze`` towards the same end, and reviews are then left out. ``prompt``: in the
    order of event times instead of arrival. Finally, a current record in each partition of each topic lets all earlier
    records be decided; the last decision of each partition is that of a verified complaint, which `all_decided` finds.
    """
    lines = squeezed(Path(path).read_bytes().splitlines(), squeeze)
    ordered = sorted(lines, key=event_ms) if prompt else lines
    producer = AIOKafkaProducer(bootstrap_servers=deployment.address, max_batch_size=BATCH_BYTES)
    async with producer:
        sender = Sender(producer, deployment)
        for calls in (False, True):
            for line in ordered:
                head = head_of(line)
                source = TOPIC_OF[head.type]
                if (source == CALLS) == calls:
                    await sender.add(source, head.tenant_id.encode(), line)
        now_ms = time.time_ns() // 1_000_000
        for tenant in one_a_partition(deployment.partitions):
            last = complaint(tenant, LAST_COMPLAINT, now_ms - _LAST_BEFORE_MS, "harassment", "verified")
            await sender.add(TOPIC_OF["complaint"], tenant.encode(), last)
            for source, value in enumerate(last_records(tenant, "end", now_ms)):
                await sender.add(source, tenant.encode(), value)
        await sender.flush()
    return sender.sent


class Sender:
    """Sends records in batches of one partition each; `flush` waits for the broker's acknowledgements."""

    def __init__(self, producer: AIOKafkaProducer, deployment: Deployment) -> None:
        self._producer, self._topics, self._partitions = producer, deployment.names.inputs, deployment.partitions
        self._homes: dict[bytes, int] = {}
        self._batches: dict[TP, Any] = {}
        self._waiting: list[Any] = []
        self.sent = 0

    def home(self, tenant: bytes) -> int:
        """The tenant's partition."""
        home = self._homes.get(tenant)
        if home is None:
            home = self._homes[tenant] = partition_of(tenant, self._partitions, "murmur2")
        return home

    async def add(self, source: int, tenant: bytes, value: bytes) -> None:
        """Add a record to the current batch of its partition."""
        tp = TP(self._topics[source], self.home(tenant))
        batch = self._batches.get(tp)
        if batch is not None and batch.append(key=tenant, value=value, timestamp=None) is None:
            await self._send(tp, batch)
            batch = None
        if batch is None:
            batch = self._batches[tp] = self._producer.create_batch()
            batch.append(key=tenant, value=value, timestamp=None)
        self.sent += 1

    async def send(self) -> None:
        """Send the current batches."""
        batches, self._batches = self._batches, {}
        for tp, batch in batches.items():
            await self._send(tp, batch)
        for future in self._waiting:
            if future.done():
                future.result()  # raises the error at once
        self._waiting = [future for future in self._waiting if not future.done()]

    async def flush(self) -> None:
        """Send the current batches, and wait for all acknowledgements."""
        await self.send()
        await asyncio.gather(*self._waiting)

    async def _send(self, tp: TP, batch: Any) -> None:
        batch.close()
        self._waiting.append(await self._producer.send_batch(batch, tp.topic, partition=tp.partition))


def one_a_partition(partitions: int) -> list[str]:
    """A tenant for each partition, in the order of partitions."""
    names: dict[int, str] = {}
    for number in itertools.count():
        name = f"pulse-{number}"
        names.setdefault(partition_of(name.encode(), partitions, "murmur2"), name)
        if len(names) == partitions:
            return [names[home] for home in range(partitions)]
    raise AssertionError


def call(tenant: str, name: str, at_ms: int, **more: object) -> bytes:
    """A call without effect on decisions, unless ``more`` changes it."""
    plain = {"type": "cdr", "call_id": name, "tenant_id": tenant, "direction": "outbound", "caller": "a", "callee": "b"}
    return msgspec.json.encode({**plain, "start_ms": at_ms, "end_ms": at_ms, "outcome": "no_answer", **more})


def complaint(tenant: str, name: str, at_ms: int, category: str, status: str) -> bytes:
    """A complaint."""
    what = {"type": "complaint", "complaint_id": name, "tenant_id": tenant, "category": category, "status": status}
    return msgspec.json.encode({**what, "reported_ms": at_ms, "updated_ms": at_ms})


def last_records(tenant: str, name: str, at_ms: int) -> list[bytes]:
    """One record for each input topic, in order, which decides nothing and advances its clock."""
    finding = {"type": "finding", "finding_id": name, "behaviour": "no_consent", "status": "suspected"}
    review = {"type": "review", "review_id": name, "enforcement_id": "none", "verdict": "uphold", "reviewer": "r"}
    others = [finding, {"type": "tenant", "declared_businesses": [], "numbers": []}, {**review, "reason": "r"}]
    return [
        call(tenant, name, at_ms),
        complaint(tenant, name, at_ms, "other", "received"),
        *(msgspec.json.encode({**other, "tenant_id": tenant, "updated_ms": at_ms}) for other in others),
    ]


# Reading -------------------------------------------------------------------------------------------------------------


async def all_decided(deployment: Deployment) -> None:
    """Wait until each partition has written the decision about the last complaint of `fill`.

    Committed offsets would not show it: records are committed when they are counted, before they are decided. Raises
    ProcessError when that takes too long.
    """
    until_s = time.monotonic() + TIMEOUT_S
    topic = deployment.names.output("enforcement")
    cluster = KafkaCluster(deployment.settings)
    try:
        at = await cluster.starts([TP(topic, number) for number in range(deployment.partitions)])
        while at:
            if time.monotonic() > until_s:
                numbers = ", ".join(str(tp.partition) for tp in at)
                raise ProcessError(
                    f"waited {TIMEOUT_S:.0f} s for all decisions in {topic}; missing partitions: {numbers}"
                )
            await asyncio.sleep(_POLL_S)
            ends = await cluster.ends(list(at))
            for tp, start in list(at.items()):
                at[tp] = ends[tp]
                async for fetched in cluster.read(tp, start, ends[tp]):
                    if any(msgspec.json.decode(value or b"", type=Decision).is_last for value in fetched.values):
                        at.pop(tp, None)
    finally:
        await cluster.stop()


async def stored(deployment: Deployment, topics: Iterable[str]) -> tuple[int, int, Counter[str]]:
    """Bytes of keys and values in these topics: all, the live ones, and the live ones by what they store."""
    written, sizes = 0, {}
    async for tp, key, value in _committed(deployment, topics):
        size = len(key) + len(value or b"")
        written += size
        sizes[tp, key] = 0 if value is None else size
    kinds: Counter[str] = Counter()
    for (tp, key), size in sizes.items():
        if tp.topic == deployment.names.output("state"):
            kinds[kind_of(key.decode())] += size
    return written, sum(sizes.values()), kinds


async def decided(deployment: Deployment) -> Counter[str]:
    """The number of occurrences of each decision's id in the enforcement topic, which should be one."""
    committed = _committed(deployment, [deployment.names.output("enforcement")])
    return Counter([msgspec.json.decode(value or b"", type=Decision).id async for _, _, value in committed])


async def _committed(deployment: Deployment, topics: Iterable[str]) -> AsyncIterator[tuple[TP, bytes, bytes | None]]:
    """Partition, key and value of each committed record of these topics."""
    cluster = KafkaCluster(deployment.settings)
    try:
        counts = await cluster.partitions(list(topics))
        tps = [TP(topic, number) for topic, count in counts.items() for number in range(count)]
        starts, ends = await cluster.starts(tps), await cluster.ends(tps)
        for tp in tps:
            async for fetched in cluster.read(tp, starts[tp], ends[tp]):
                for key, value in zip(fetched.keys, fetched.values, strict=True):
                    yield tp, key or b"", value
    finally:
        await cluster.stop()
