"""The time at which `/readyz` says that something is decided is the time at which the decision comes."""

import json
import random
from typing import NamedTuple

import pytest

from crash.scenarios import (
    HOUR,
    MINUTE,
    NOON,
    POLICY,
    SECOND,
    call,
    command,
    complaint,
    operator_of,
    play,
    three_calls,
    until,
)
from crash.traffic import NAMES, Arrival
from crash.world import Worker, World
from helpers.thorough import thorough
from monitor.partition.checkpoint import DecidingSettings
from monitor.partition.partitioner import partition_of
from monitor.partition.waiting.decision_times import DecisionForecast, WaitCause
from monitor.policy.load import load
from monitor.text.timestamps import parse_moment
from streams.ingest.http.answer import DecidedBetween
from streams.ingest.http.decision_times import decided_between
from streams.kafka.api import TP
from streams.topics.reported_waits import TickReader
from streams.worker.wait_reasons import waiting_partitions

CHECK_MS = 7 * SECOND  # a check of the clocks, the broker's clock that is never ahead, and a transaction
COMPLAINT = "verified_fraud_complaint"
SENT_MS = NOON + 3 * MINUTE


class Decision(NamedTuple):
    at_ms: int
    tenant_id: str
    rule_id: str | None
    end_ms: int | None


def decisions(world: World, number: int = 0) -> list[Decision]:
    """Each with the broker's time at which it was written."""
    found = []
    for name in ("enforcement", "shadow"):
        for entry in world.broker.logs[TP(NAMES.output(name), number)].committed(0):
            if entry.record is not None:
                data = json.loads(entry.record.value or b"")["data"]
                window = data["window"]
                end_ms = None if window is None else window["end_ms"]
                found.append(Decision(entry.timestamp_ms, data["tenant_id"], data["rule_id"], end_ms))
    return sorted(found, key=lambda one: one.at_ms)


def forecast_of(worker: Worker, number: int = 0) -> DecisionForecast:
    assert worker.consumer_loop is not None
    return worker.consumer_loop.forecasts[number]


def moved(one: Arrival, number: int, tenant: str) -> Arrival:
    """The same record of a tenant of another partition."""
    value = json.dumps(json.loads(one.record.value or b"") | {"tenant_id": tenant}).encode()
    return Arrival(one.at_ms, TP(one.tp.topic, number), one.record._replace(key=tenant.encode(), value=value))


def first_records(world: World) -> None:
    world.produce([call(SENT_MS - 9 * SECOND + n * 70, f"c{n}", SENT_MS) for n in range(120)])
    world.produce([moved(complaint(SENT_MS, "k"), 0, "u")])


@pytest.mark.thorough
def test_with_the_defaults_an_empty_installation_decides_when_it_says() -> None:
    speed = 8  # what is silent is silent in the loop's time, in which the clocks are checked, too
    check_ms = CHECK_MS * speed
    live = DecidingSettings(idle_after_ms=DecidingSettings().idle_after_ms // speed)
    world = World(random.Random(1), load(None), live, 1, NOON, speed)
    first_records(world)
    steps = {rule.id: rule.step_ms for rule in world.policy.rules}

    async def go() -> None:
        worker = world.add_worker()
        await until(world, SENT_MS + MINUTE)
        said = forecast_of(worker)
        assert said.record is not None
        assert said.record.at_ms == SENT_MS + 1 + 10 * MINUTE + 4 * HOUR
        assert said.record.cause is WaitCause.OUTAGE_GRACE
        [notice] = worker.consumer_loop.notices if worker.consumer_loop else []
        assert "complaints and other records up to 2026-03-02T12:03:00.000Z are decided at 2026-03-02T16:13" in notice
        assert notice.endswith("callwarden end-outage --reason WHY")
        reported = await TickReader(NAMES, range(1)).read(operator_of(world))
        assert reported.waits == {0: [notice]}
        assert (reported.delays[0].no_calls, reported.delays[0].held) == ((0,), ())
        [waits] = waiting_partitions({0: said})
        assert waits["records"]["decided_at"] == "2026-03-02T16:13:00.001Z"
        assert waits["command"] == "callwarden end-outage --reason WHY"
        answer = decided_between(reported, SENT_MS, frozenset({0}), SENT_MS + MINUTE)
        assert answer is not None
        assert answer.why.startswith(
            "records may come 10m late (lateness); no calls arrive in any partition, and decis"
        )
        assert answer.earliest == "2026-03-02T12:13:00.001Z"
        assert answer.latest is not None
        assert said.record.at_ms < parse_moment(answer.latest) < said.record.at_ms + 2 * MINUTE
        await until(world, said.record.at_ms - 1)
        assert decisions(world) == []
        assert said.last is not None
        assert said.windows[5 * MINUTE].at_ms == NOON + 15 * MINUTE + 4 * HOUR
        await until(world, said.windows[15 * MINUTE].at_ms or 0)
        first, *others = decisions(world)
        assert first.rule_id == COMPLAINT
        assert said.record.at_ms <= first.at_ms <= said.record.at_ms + check_ms
        seen = 0
        for one in others:
            expected = said.windows[steps[one.rule_id or ""]]
            if one.end_ms == expected.until_ms:
                seen += 1
                assert expected.at_ms is not None
                assert expected.at_ms <= one.at_ms <= expected.at_ms + check_ms
        assert seen, "a rule with a step of five minutes has decided on the calls"

    play(world, go)


def test_the_command_brings_it_forward_to_the_time_that_is_then_said() -> None:
    world = World(random.Random(1), load(None), DecidingSettings(), 1, NOON)
    first_records(world)

    async def go() -> None:
        worker = world.add_worker()
        await until(world, SENT_MS + MINUTE)
        command(world, type="end_outage", reason="a trial", by="ann", at_ms=NOON)
        await until(world, SENT_MS + 2 * MINUTE)
        said = forecast_of(worker).record
        assert said is not None
        assert said.at_ms == SENT_MS + 1 + 10 * MINUTE
        assert said.cause is WaitCause.LATENESS
        assert worker.consumer_loop is not None
        assert worker.consumer_loop.notices == []
        await until(world, said.at_ms - 1)
        assert decisions(world) == []
        await until(world, said.at_ms + CHECK_MS)
        assert [one.rule_id for one in decisions(world)] == [COMPLAINT]

    play(world, go)


def tenants_of(number: int) -> list[str]:
    """Of two partitions."""
    return [f"t{n}" for n in range(100) if partition_of(f"t{n}".encode(), 2, "murmur2") == number]


@pytest.mark.parametrize("others", [False, True])
@pytest.mark.parametrize("seed", thorough(range(4), 1))
def test_a_feed_that_flaps_is_decided_when_it_was_last_said(seed: int, others: bool) -> None:
    """Each time is that of the decision if nothing comes after it was said. ``others``: calls in another partition."""
    print("seed", seed)
    rng = random.Random(seed)
    live = DecidingSettings(outage_grace_ms=rng.choice((MINUTE, 6 * MINUTE)))
    world = World(rng, POLICY, live, 2, NOON)
    mine = tenants_of(0)
    arrivals = []
    at_ms, stop_ms = NOON + 5 * SECOND, NOON + 8 * MINUTE
    while at_ms < stop_ms:
        arrivals.append(moved(call(at_ms, f"c{at_ms}"), 0, mine[0]))
        at_ms += rng.choice((3, 20, 29, 31, 45, 100, 150)) * SECOND + rng.randrange(SECOND)
    complained = {tenant: NOON + rng.randrange(8 * 60) * SECOND for tenant in mine[1:9]}
    arrivals += [moved(complaint(at_ms, "k"), 0, tenant) for tenant, at_ms in complained.items()]
    world.produce(arrivals)
    if others:
        flowing = [call(at_ms, f"o{at_ms}") for at_ms in range(NOON, NOON + 25 * MINUTE, 11 * SECOND)]
        world.produce(moved(one, 1, tenants_of(1)[0]) for one in flowing)
    came = sorted(one.at_ms for one in arrivals)
    said: list[tuple[int, int, int]] = []  # when, what for, and for when
    answers: dict[str, DecidedBetween] = {}  # of the ingest service, by tenant

    async def go() -> None:
        worker, reader, operator = world.add_worker(), TickReader(NAMES, range(2)), operator_of(world)
        worker.link.slow_share = 0.0
        for at_ms in range(NOON + 15 * SECOND, NOON + 20 * MINUTE, 2 * SECOND):
            await until(world, at_ms)
            record = forecast_of(worker).record
            if record is not None and record.at_ms is not None:
                said.append((at_ms, record.until_ms, record.at_ms))
            reported = await reader.read(operator)
            for tenant, sent_ms in complained.items():
                if at_ms <= sent_ms < at_ms + 2 * SECOND:
                    answer = decided_between(reported, sent_ms, frozenset({0}), at_ms)
                    assert answer is not None
                    answers[tenant] = answer

    play(world, go)
    checked = 0
    for one in decisions(world):
        if one.rule_id != COMPLAINT:
            continue
        if (answer := answers.get(one.tenant_id)) is not None:
            assert answer.latest is not None
            assert parse_moment(answer.earliest) <= one.at_ms <= parse_moment(answer.latest)
        when_ms, until_ms, named_ms = [each for each in said if each[0] < one.at_ms][-1]
        if until_ms != complained[one.tenant_id]:
            continue  # it was not the newest that waited
        if any(when_ms - CHECK_MS < at_ms <= one.at_ms for at_ms in came):
            continue  # something came since it was said
        checked += 1
        assert named_ms <= one.at_ms <= named_ms + CHECK_MS, (one, named_ms)
    assert checked


def test_a_call_that_comes_ends_the_wait() -> None:
    world = World(random.Random(1), POLICY, DecidingSettings(), 1, NOON)
    world.produce([complaint(NOON + 10 * SECOND, "k"), *three_calls(NOON + 3 * MINUTE, "x")])

    async def go() -> None:
        worker = world.add_worker()
        await until(world, NOON + 2 * MINUTE)
        record = forecast_of(worker).record
        assert record is not None
        assert record.at_ms == NOON + 10 * SECOND + 1 + MINUTE + 4 * HOUR
        await until(world, NOON + 3 * MINUTE + CHECK_MS)
        assert len(decisions(world)) == 1
        assert forecast_of(worker).record is None

    play(world, go)
