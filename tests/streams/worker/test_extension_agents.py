"""Agents of other packages receive each batch at least once, whatever they do, and delay no partition."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import structlog
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from helpers.patience import PATIENCE_S
from schemas import codec
from schemas.outputs import Alert
from streams.kafka.api import TP, FetchedBatch, GroupLoss, TransientError
from streams.kafka.topic_names import TopicNames
from streams.worker.agents import InputAgents
from streams.worker.extension_agents import CommittedBatch, ExtensionAgents
from streams.worker.faust_app import FaustApp
from streams.worker.metrics import AgentMetrics

NAMES = TopicNames("in.", "out.")
ALERTS = TP("out.alerts", 3)
Function = Callable[[AsyncIterator[CommittedBatch]], Awaitable[None]]


def alert(number: int) -> bytes:
    return codec.encode(
        Alert(
            alert_id=f"a{number}",
            tenant_id="t",
            rule_id="r",
            severity="warning",
            state="firing",
            measure=None,
            since_ms=1_772_452_800_000,
            updated_ms=1_772_452_800_000,
            enforcement_id=None,
            reason={"zh": "一", "en": "one"},  # type: ignore[arg-type]
        )
    )


class Topic:
    """The alerts topic and its group, as the broker stores them: one record a poll, from the committed offset."""

    def __init__(self, values: Sequence[bytes]) -> None:
        self.values = list(values)
        self.committed = 0
        self.start = 0
        self.lost: list[GroupLoss] = []
        self.fail_commits = 0
        self.groups: list[str] = []

    def reader(self, topics: Sequence[str], group: str) -> "Member":
        assert topics == ["out.enforcement", "out.alerts"]
        self.groups.append(group)
        return Member(self)


class Member:
    def __init__(self, topic: Topic) -> None:
        self._topic, self._at = topic, topic.committed
        self._lost: list[GroupLoss] = []

    async def start(self) -> None:
        self._at = max(self._topic.committed, self._topic.start)
        self._lost = list(self._topic.lost)
        if self._topic.committed < self._topic.start:
            self._lost.append(GroupLoss(ALERTS, self._topic.committed, self._topic.start))

    def take_lost(self) -> list[GroupLoss]:
        lost, self._lost = self._lost, []
        return lost

    async def poll(self, timeout_s: float, most: int) -> Mapping[TP, FetchedBatch]:
        if self._at >= len(self._topic.values):
            await asyncio.sleep(0.01)
            return {}
        at, self._at = self._at, self._at + 1
        value = self._topic.values[at]
        return {ALERTS: FetchedBatch(at, at + 1, np.array([at]), np.array([0]), [b"t"], [value])}

    async def commit(self, tp: TP, offset: int) -> None:
        if self._topic.fail_commits:
            self._topic.fail_commits -= 1
            raise TransientError("it has gone to another member")
        self._topic.committed = offset

    async def stop(self) -> None:
        pass


class Point:
    """An entry point."""

    def __init__(self, name: str, loaded: Any) -> None:
        self.name, self.value, self._loaded = name, "house:agent", loaded

    def load(self) -> Any:
        if isinstance(self._loaded, Exception):
            raise self._loaded
        return self._loaded


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():
            await asyncio.sleep(0.01)


class Running:
    """A Faust app with extension agents, started."""

    def __init__(self, topic: Topic, **agents: Any) -> None:
        self.app, self.registry = FaustApp("app"), CollectorRegistry()
        points: Any = [Point(name, agent) for name, agent in agents.items()]
        self.extensions = ExtensionAgents(self.app, AgentMetrics(self.registry), points)
        self.app.service(self.extensions)  # type: ignore[arg-type]
        self._topic = topic

    async def __aenter__(self) -> "Running":
        await self.app.start()
        self.extensions.begin(NAMES, "app", self._topic.reader)
        return self

    def metric(self, name: str, agent: str = "crm") -> float | None:
        return self.registry.get_sample_value(f"callwarden_agent_{name}", {"agent": agent})

    async def __aexit__(self, *_: object) -> None:
        await self.app.stop()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    structlog.reset_defaults()
    monkeypatch.setattr("streams.runtime.retry.FIRST_S", 0.01)


def collector(seen: list[str]) -> Function:
    async def collect(batches: AsyncIterator[CommittedBatch]) -> None:
        async for batch in batches:
            assert (batch.topic, batch.partition) == ("alerts", 3)
            seen.extend(record.alert_id for record in batch.records if isinstance(record, Alert))

    return collect


async def test_an_agent_receives_what_is_committed_and_its_group_follows() -> None:
    topic, seen = Topic([alert(0), alert(1)]), list[str]()
    async with Running(topic, crm=collector(seen)):
        await until(lambda: topic.committed == 2)
        topic.values.append(alert(2))
        await until(lambda: topic.committed == 3)
    assert seen == ["a0", "a1", "a2"]
    assert topic.groups == ["app.agent.crm"]


async def test_a_batch_is_not_committed_before_the_agent_asks_for_the_next_and_comes_again_after_a_restart() -> None:
    """The process may end at any time, as with kill -9."""
    topic, seen = Topic([alert(0), alert(1)]), list[str]()
    stuck = threading.Event()

    async def sticks(batches: AsyncIterator[CommittedBatch]) -> None:
        async for batch in batches:
            seen.extend(record.alert_id for record in batch.records if isinstance(record, Alert))
            if len(seen) == 2:
                stuck.set()
                await asyncio.Event().wait()

    async with Running(topic, crm=sticks):
        await until(stuck.is_set)
        assert topic.committed == 1
    async with Running(topic, crm=collector(seen)):
        await until(lambda: topic.committed == 2)
    assert seen == ["a0", "a1", "a1"]


async def test_an_agent_that_raises_is_given_the_batch_again_and_others_are_not_held_up() -> None:
    topic, calm = Topic([alert(0), alert(1)]), Topic([alert(0), alert(1)])
    seen: list[str] = []
    quiet: list[str] = []

    async def raises(batches: AsyncIterator[CommittedBatch]) -> None:
        async for batch in batches:
            seen.extend(record.alert_id for record in batch.records if isinstance(record, Alert))
            if len(seen) < 4:
                raise ValueError("the CRM is away")

    with capture_logs() as logs:
        async with Running(topic, crm=raises) as failing, Running(calm, other=collector(quiet)) as other:
            await until(lambda: topic.committed == 2)
            await until(lambda: calm.committed == 2)
            metrics = [failing.metric(name) for name in ("failures_total", "failing", "records_total", "batch_seconds")]
            assert metrics == [3, 0, 2, 0]
            assert other.metric("failures_total", "other") == 0
    assert seen == ["a0", "a0", "a0", "a0", "a1"]
    assert quiet == ["a0", "a1"]
    failures = [line for line in logs if line["log_level"] == "error"]
    assert [(line["event"], line["agent"]) for line in failures] == [
        ("an agent failed; it receives the batch again", "crm")
    ] * 3


async def test_an_agent_that_keeps_failing_shows_it_until_its_batch_is_handled() -> None:
    topic, away = Topic([alert(0)]), threading.Event()
    away.set()

    async def raises(batches: AsyncIterator[CommittedBatch]) -> None:
        async for _ in batches:
            if away.is_set():
                raise ValueError("the CRM is away")

    async with Running(topic, crm=raises) as running:
        assert running.metric("failing") == 0
        await until(lambda: (running.metric("failures_total") or 0) > 3)
        assert running.metric("failing") == 1
        assert running.metric("batch_seconds") > 0  # type: ignore[operator]
        away.clear()
        await until(lambda: topic.committed == 1)
        assert (running.metric("failing"), running.metric("batch_seconds")) == (0, 0)


def test_the_time_of_a_batch_counts_from_when_the_agent_received_it() -> None:
    registry, now_s = CollectorRegistry(), 100.0
    metrics = AgentMetrics(registry, lambda: now_s)
    metrics.add("crm")
    metrics.received("crm")
    now_s += 600
    metrics.failed("crm")
    now_s += 1
    assert registry.get_sample_value("callwarden_agent_batch_seconds", {"agent": "crm"}) == 601


async def test_an_agent_that_returns_is_given_the_batch_again() -> None:
    topic, seen = Topic([alert(0), alert(1)]), list[str]()

    async def returns(batches: AsyncIterator[CommittedBatch]) -> None:
        async for batch in batches:
            seen.extend(record.alert_id for record in batch.records if isinstance(record, Alert))
            if len(seen) == 1:
                return

    async with Running(topic, crm=returns):
        await until(lambda: topic.committed == 2)
    assert seen == ["a0", "a0", "a1"]


async def test_an_agent_that_blocks_does_not_hold_the_event_loop() -> None:
    topic = Topic([alert(0), alert(1)])
    entered, released = threading.Event(), threading.Event()

    async def blocks(batches: AsyncIterator[CommittedBatch]) -> None:
        async for _ in batches:
            entered.set()
            released.wait(PATIENCE_S)

    async with Running(topic, crm=blocks):
        await until(entered.is_set)
        turns = 0
        while turns < 100:  # the loop that the partitions use keeps running meanwhile
            await asyncio.sleep(0)
            turns += 1
        assert topic.committed == 0
        released.set()
        await until(lambda: topic.committed == 2)


async def test_a_partition_that_went_to_another_member_is_read_from_the_committed_offset() -> None:
    topic, seen = Topic([alert(0), alert(1)]), list[str]()
    topic.fail_commits = 1
    async with Running(topic, crm=collector(seen)):
        await until(lambda: topic.committed == 2)
    assert seen == ["a0", "a0", "a1"]


async def test_a_record_of_another_program_is_passed_over() -> None:
    topic, seen = Topic([b"{", alert(1)]), list[str]()
    with capture_logs() as logs:
        async with Running(topic, crm=collector(seen)):
            await until(lambda: topic.committed == 2)
    assert seen == ["a1"]
    assert [line["at"] for line in logs if line["log_level"] == "warning"] == [["out.alerts", 3, 0]]


async def test_an_agent_that_cannot_be_loaded_is_left_out_and_named() -> None:
    topic, seen = Topic([alert(0)]), list[str]()
    with capture_logs() as logs:
        async with Running(topic, crm=collector(seen), gone=ImportError("no module house"), plain=print) as running:
            assert list(running.app.agents) == ["crm"]
            await until(lambda: topic.committed == 1)
            assert [running.metric("failing", name) for name in ("crm", "gone", "plain")] == [0, 1, 1]
    left_out = [line["agent"] for line in logs if line["log_level"] == "error"]
    assert left_out == ["gone", "plain"]


async def test_an_agent_with_the_name_of_an_input_topic_is_left_out() -> None:
    app = FaustApp("app")
    InputAgents(app)
    points: Any = [Point("cdr", collector([]))]
    with capture_logs() as logs:
        assert not ExtensionAgents(app, AgentMetrics(CollectorRegistry()), points).agents
    assert [line["agent"] for line in logs] == ["cdr"]


async def test_the_thread_of_an_agent_ends_with_the_app() -> None:
    topic, seen = Topic([alert(0)]), list[str]()
    async with Running(topic, crm=collector(seen)):
        await until(lambda: topic.committed == 1)
        assert [thread for thread in threading.enumerate() if thread.name == "agent-crm"]
    assert not [thread for thread in threading.enumerate() if thread.name == "agent-crm"]


async def test_records_that_were_deleted_before_an_agent_received_them_are_reported_once() -> None:
    topic, seen = Topic([alert(0), alert(1), alert(2), alert(3)]), list[str]()
    topic.committed, topic.start = 1, 3
    with capture_logs() as logs:
        for expected, number in (["a3"], 4), (["a3", "a4"], 5):
            async with Running(topic, crm=collector(seen)) as running:
                await until(lambda: topic.committed == len(topic.values))
                assert seen == expected
                lost = running.metric("lost_total")
            topic.values.append(alert(number))
    assert lost == 0
    said = [each for each in logs if each["event"] == "records were deleted before an agent received them"]
    assert [(each["topic"], each["partition"], each["first"], each["next"]) for each in said] == [(*ALERTS, 1, 3)]


async def test_a_loss_is_reported_and_committed_although_no_record_follows() -> None:
    topic = Topic([alert(0), alert(1)])
    topic.start = 2
    topic.lost = [GroupLoss(ALERTS, 9, 0, other_log=True)]
    with capture_logs() as logs:
        async with Running(topic, crm=collector([])) as running:
            await until(lambda: topic.committed == 2)
            assert running.metric("lost_total") == 2
    assert [each["log_level"] for each in logs if each.get("partition") == 3] == ["error", "error"]
