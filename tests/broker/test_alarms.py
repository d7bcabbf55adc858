"""Alerts on Callwarden's own health. A real worker or notifier is brought into each bad state, and our rules on a real
Prometheus fire. The runbook's symptoms are visible, its commands resolve the alert, and no decision is lost.
"""

import asyncio
import itertools
import json
import re
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from deadlines import deadline
from notify_process import Notifier, receiving, warning
from worker_judge import assert_exact
from worker_platform import LIVE, Platform
from worker_processes import MAIN, PARTITIONS, Fleet, Worker, callwarden, fleet_of, wait_for
from worker_traffic import Sender, Sent, make_topics, sender_to

from alerting.alarms import Alarms, hurried_alarms
from helpers.patience import PATIENCE_S, WAIT
from monitor.decoding.input_topics import INPUTS
from monitor.partition.checkpoint import DecidingSettings
from monitor.partition.partitioner import partition_of
from monitor.policy.load import load
from monitor.text.durations import DAY
from schemas import codec

pytestmark = pytest.mark.services

RUNBOOK = (Path(__file__).parents[2] / "docs" / "guides" / "runbook.md").read_text("utf-8")
HOMES = {partition_of(f"t{n}".encode(), PARTITIONS, "murmur2"): f"t{n}" for n in range(40)}
"""A tenant of each partition."""


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def sent(topic: str, tenant: str, **fields: object) -> Sent:
    home = partition_of(tenant.encode(), PARTITIONS, "murmur2")
    value = json.dumps({"tenant_id": tenant, **fields}).encode()
    return Sent(INPUTS.index(topic), home, tenant.encode(), value)


def call(name: str, tenant: str, at_ms: int | None = None) -> Sent:
    """A call that ends at ``at_ms``, by default now."""
    at_ms = at_ms or now_ms()
    person = {"direction": "outbound", "caller": "caller", "callee": "callee", "outcome": "no_answer"}
    return sent("cdr", tenant, type="cdr", call_id=name, start_ms=at_ms - 1_000, end_ms=at_ms, **person)


def calls_of_the_present() -> Iterator[list[Sent]]:
    """A current call in every partition, repeatedly."""
    for number in itertools.count():
        yield [call(f"c{number}", tenant) for tenant in HOMES.values()]


async def until(holds: Callable[[], object], what: str) -> None:
    await asyncio.to_thread(wait_for, holds, what)


def has_value(alarms: Alarms, expression: str, value: float) -> bool:
    """Whether Prometheus gives that value."""
    return bool(alarms.value(expression) == value)


async def fires(alarms: Alarms, name: str) -> list[dict[str, str]]:
    """Wait until the alert fires; return its labels."""
    firing: list[dict[str, str]] = []

    def fired() -> bool:
        firing[:] = alarms.firing(name)
        return bool(firing)

    try:
        await until(fired, f"{name} fires")
    except AssertionError as error:
        raise AssertionError(f"{error}: {alarms.why(name)}") from None
    return firing


async def is_quiet(alarms: Alarms, name: str) -> None:
    await until(lambda: not alarms.firing(name), f"{name} does not fire any more")


@asynccontextmanager
async def watched(
    platform: Platform, folder: Path, main: str = MAIN, **settings: str
) -> AsyncIterator[tuple[Fleet, Worker, Alarms, Sender]]:
    """A single worker that Prometheus scrapes, and a sender to its topics."""
    environment = platform.environment | settings
    with fleet_of(folder, environment) as fleet, hurried_alarms(folder / "watching", "worker") as alarms:
        worker = fleet.add(main=main)
        await asyncio.to_thread(fleet.settle)
        alarms.look_at("worker", [worker.target])
        async with sender_to(platform.node.address) as producer:
            yield fleet, worker, alarms, Sender(producer, platform.names)


@asynccontextmanager
async def going_on(sender: Sender, pieces: Iterator[Sequence[Sent]], every_s: float) -> AsyncIterator[None]:
    """Write one piece every ``every_s`` seconds while the context is active."""

    async def write() -> None:
        for piece in pieces:
            await sender.send(piece)
            await asyncio.sleep(every_s)

    writing = asyncio.create_task(write())
    try:
        yield
        assert not writing.done(), writing.exception()
    finally:
        writing.cancel()
        await asyncio.wait([writing])


async def ends_well(platform: Platform, fleet: Fleet, live: DecidingSettings = LIVE) -> None:
    """Every record is read, and a replay and an audit confirm the workers' decisions."""

    def looked() -> bool:
        """Whether the worker has read every record and checked its silent sources since."""
        silent_s = 2 * LIVE.idle_after_ms / 1000
        return all(
            w.lag() == 0 and min(w.values("callwarden_silent_seconds"), default=0) > silent_s for w in fleet.running
        )

    await until(looked, "all records are read")
    for worker in fleet.running:
        assert await asyncio.to_thread(worker.terminate) == 0
    await assert_exact(platform.node.address, platform.names, load(str(platform.policy)), live, PARTITIONS)


def within(worker: Worker) -> str:
    """Return its `/readyz` through the command of the runbook for a port that is not exposed."""
    found = re.search(r'worker python -c "([^"]+)"', RUNBOOK)
    assert found
    command = [sys.executable, "-c", found[1].replace("127.0.0.1:6066", worker.target)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE_S).stdout


# CallwardenLagGrowing ------------------------------------------------------------------------------------------------

A_SLOW_MACHINE = f"from streams.worker import consumer_loop; consumer_loop._POLL_ROWS = 30; {MAIN}"
"""A worker that takes that many records at a time, and about fifty milliseconds for them."""


async def test_a_lag_that_grows_shrinks_when_there_are_more_workers(platform: Platform, tmp_path: Path) -> None:
    numbers = itertools.count()

    def calls(count: int) -> list[Sent]:
        return [call(f"c{number}", HOMES[number % PARTITIONS]) for number in itertools.islice(numbers, count)]

    async with watched(platform, tmp_path, A_SLOW_MACHINE, CALLWARDEN_READY_LAG="500") as (fleet, slow, alarms, sender):
        await sender.send(calls(12_000))
        async with going_on(sender, iter(lambda: calls(150), None), 0.1):
            assert [labels["topic"] for labels in await fires(alarms, "CallwardenLagGrowing")] == ["cdr"]
            behind = re.compile(r"^in\.cdr-\d: \d+ records behind; expected at most 500$", re.MULTILINE)
            await until(lambda: behind.search(within(slow)), "its page names the lag")
            await until(lambda: slow.get("/readyz")[0] == 503, "it is not ready")
            # docker compose up -d --scale worker=4 worker
            for _ in range(3):
                fleet.add(main=A_SLOW_MACHINE)
            alarms.look_at("worker", [worker.target for worker in fleet.running])
            await is_quiet(alarms, "CallwardenLagGrowing")
        await ends_well(platform, fleet)


# CallwardenWatermarkStuck --------------------------------------------------------------------------------------------


def held(alarms: Alarms) -> set[int]:
    """The partitions whose watermark is reported as stuck."""
    return {int(labels["partition"]) for labels in alarms.firing("CallwardenWatermarkStuck")}


async def test_a_watermark_that_is_stuck_moves_when_the_source_that_holds_it_is_silent(
    platform: Platform, tmp_path: Path
) -> None:
    began_ms = now_ms() - 3_600_000

    def findings() -> Iterator[list[Sent]]:
        """Findings of a slow export from an hour ago."""
        suspected = {"type": "finding", "behaviour": "blind_calling", "status": "suspected"}
        for number in itertools.count():  # the times rise, otherwise the source would be silent
            one = suspected | {"finding_id": f"f{number}", "updated_ms": began_ms + number}
            yield [sent("findings", tenant, **one) for tenant in HOMES.values()]

    calls = calls_of_the_present()
    verified = {"type": "complaint", "complaint_id": "q", "category": "fraud", "status": "verified"}
    async with watched(platform, tmp_path) as (fleet, worker, alarms, sender):
        async with going_on(sender, calls, 0.5):
            async with going_on(sender, findings(), 0.5):
                await fires(alarms, "CallwardenWatermarkStuck")
                # Every partition is held back: nothing is committed, so no new record is counted.
                counted = "sum(increase(callwarden_records_total[12s]))"
                await until(lambda: alarms.value(counted) == 0, "nothing is counted")
                await until(lambda: held(alarms) == set(range(PARTITIONS)), "each partition is reported")
                await is_quiet(alarms, "CallwardenNoRecords")
                least = "bottomk(1, min by (topic) (callwarden_clock_timestamp_seconds))"
                assert [one["metric"]["topic"] for one in alarms.server.query(least)] == ["findings"]
                named: set[int] = set()

                def all_are_named() -> bool:
                    """Each partition is named at some check; at another it may have unread records."""
                    status, body = worker.get("/readyz")
                    if (status, body.partition("\n")[0]) != (200, "ready"):
                        return False
                    found = re.findall(r"^partition (\d+): in\.findings holds decisions back: ", body, re.MULTILINE)
                    named.update(map(int, found))
                    return named == set(range(PARTITIONS))

                await until(all_are_named, "the page names what each partition waits for")
                await sender.send([sent("complaints", "t1", **verified, reported_ms=now_ms(), updated_ms=now_ms())])
            # The writer of the findings is stopped.
            await is_quiet(alarms, "CallwardenWatermarkStuck")
            banned = 'sum(callwarden_decisions_total{rule="verified_fraud_complaint"})'
            await until(lambda: alarms.value(banned), "what waited is decided")
        assert await fires(alarms, "CallwardenNoRecords")
        await sender.send(next(calls))
        await is_quiet(alarms, "CallwardenNoRecords")
        assert "as expected: " in await asyncio.to_thread(callwarden, platform.environment, "audit")
        await ends_well(platform, fleet)


# CallwardenSourceBehind ----------------------------------------------------------------------------------------------


async def test_a_source_that_is_late_and_continues_is_reported_until_it_has_caught_up(
    platform: Platform, tmp_path: Path
) -> None:
    late_ms = 5 * 3_600_000

    def late_calls() -> Iterator[list[Sent]]:
        """Calls of five hours ago."""
        for number in itertools.count():
            yield [call(f"l{number}", tenant, now_ms() - late_ms) for tenant in HOMES.values()]

    async with watched(platform, tmp_path) as (fleet, worker, alarms, sender):
        async with going_on(sender, late_calls(), 0.5):
            assert [labels["topic"] for labels in await fires(alarms, "CallwardenSourceBehind")] == ["cdr"]
            delay = "max(time() - min by (topic, partition) (callwarden_clock_timestamp_seconds))"
            assert late_ms / 1000 - 60 < (alarms.value(delay) or 0) < late_ms / 1000 + 60

            def is_ready() -> bool:
                """A later line may name the late source."""
                status, page = worker.get("/readyz")
                return (status, page.partition("\n")[0]) == (200, "ready")

            await until(is_ready, "it is ready")
            fraud = {"complaint_id": "q", "category": "fraud", "status": "verified"}
            times = {"reported_ms": now_ms(), "updated_ms": now_ms()}
            await sender.send([sent("complaints", "t1", type="complaint", **fraud, **times)])
        async with going_on(sender, calls_of_the_present(), 0.5):
            await is_quiet(alarms, "CallwardenSourceBehind")
            banned = 'sum(callwarden_decisions_total{rule="verified_fraud_complaint"})'
            await until(lambda: alarms.value(banned), "what waited is decided")
        assert "as expected: " in await asyncio.to_thread(callwarden, platform.environment, "audit")
        await ends_well(platform, fleet)


# CallwardenMessagesGivenUp -------------------------------------------------------------------------------------------

A_SHORT_MINUTE = f"from streams.consumers.notify.delivery import sender; sender._FIRST_BACKOFF_MS = 200; {MAIN}"
"""A notifier that gives a message up after fifteen minutes on a shortened clock."""


async def test_messages_that_were_given_up_arrive_once_their_receiver_recovers(address: str, tmp_path: Path) -> None:
    prefix = f"t-{uuid.uuid4().hex}."
    environment = {
        "CALLWARDEN_BOOTSTRAP_SERVERS": address,
        "CALLWARDEN_INPUT_PREFIX": prefix,
        "CALLWARDEN_OUTPUT_PREFIX": prefix,
        "CALLWARDEN_NOTIFY_DATABASE": f"sqlite:///{tmp_path / 'notify.db'}",
        "NO_PROXY": "127.0.0.1",
    }
    await asyncio.to_thread(make_topics, environment)
    async with receiving() as receiver, AIOKafkaProducer(bootstrap_servers=address) as producer:
        secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
        environment |= {"CALLWARDEN_NOTIFY_WEBHOOK_URL": receiver.url, "CALLWARDEN_NOTIFY_WEBHOOK_SECRET": secret}
        notifier = Notifier(tmp_path / "notify.log", environment, A_SHORT_MINUTE)

        async def decide(*tenants: str) -> None:
            for tenant in tenants:
                value = codec.encode(warning(f"e-{tenant}", tenant, now_ms()))
                await producer.send_and_wait(f"{prefix}enforcement", value, partition=0)

        async def notify(option: str, status: int = 0) -> str:
            return await asyncio.to_thread(callwarden, environment, "notify", option, status=status)

        with hurried_alarms(tmp_path / "watching", "notify") as alarms:
            try:
                notifier.start()
                await notifier.ready()
                alarms.look_at("notify", [notifier.target])
                given_up = "sum(callwarden_notify_given_up_total)"
                await until(lambda: alarms.value(given_up) == 0, "Prometheus has seen that none was given up")
                await decide("before")
                await until(lambda: receiver.taken["e-before"], "the message arrives")
                receiver.refusing = True
                await decide("one", "two")
                fired = await fires(alarms, "CallwardenMessagesGivenUp")
                assert [labels["channel"] for labels in fired] == ["webhook"]
                await until(lambda: notifier.said().count("a message is given up") == 2, "both are given up")
                said = [json.loads(line) for line in notifier.said().splitlines()]
                messages = [line for line in said if line["event"] == "a message is given up"]
                assert {line["tenant"] for line in messages} == {"one", "two"}
                assert {line["why"] for line in messages} == {"it answers 400: no such template"}
                assert "FAILED: it answers 400" in await notify("--test", 3)
                receiver.refusing = False
                assert "FAILED" not in await notify("--test")
                listed = (await notify("--failed")).splitlines()
                assert [line.split()[1:4] for line in listed] == [["webhook", "warning", t] for t in ("one", "two")]
                assert "the running notifier sends 2 again" in await notify("--send-again")
                await until(lambda: receiver.taken["e-one"] and receiver.taken["e-two"], "both arrive")
                assert "no message failed permanently" in await notify("--failed")
                await is_quiet(alarms, "CallwardenMessagesGivenUp")
                assert notifier.terminate() == 0
            finally:
                notifier.kill()
    assert [receiver.taken[f"e-{tenant}"] for tenant in ("before", "one", "two")] == [1, 1, 1]


# CallwardenDecisionFlood, CallwardenRuleTooBroad, CallwardenTenantsLeftOut -------------------------------------------

RULE = """\
id: house
version: "{version}"
extends: access-rules
defaults: {{lateness: 20s}}
escalations: []
rules:
- id: many-calls
  behaviour: blind_calling
  metric: attempts
  above: {above}
  window: 1h
  step: 15m
  cooldown: 12h
"""
TENANTS = [f"t{n}" for n in range(60)]
QUARTER_MS = 900_000


async def test_a_wrong_rule_is_changed_and_its_decisions_are_overturned(platform: Platform, tmp_path: Path) -> None:
    wrong, right = tmp_path / "wrong.yaml", tmp_path / "right.yaml"
    wrong.write_text(RULE.format(version="1", above=2), "utf-8")
    right.write_text(RULE.format(version="2", above=2000), "utf-8")
    environment = platform.environment | {
        "CALLWARDEN_POLICY": str(wrong),
        "CALLWARDEN_OUTAGE_GRACE": "30d",  # the calls' clock advances with calls only
        "CALLWARDEN_METRICS_PAIRS": "10",
        "CALLWARDEN_METRICS_BUSIEST": "0",
        "CALLWARDEN_LEDGER_DATABASE": f"sqlite:///{tmp_path / 'ledger.db'}",
    }
    platform = replace(platform, policy=wrong, environment=environment)
    began_ms = (now_ms() // DAY - 20) * DAY
    at_ms = began_ms

    def quarters() -> Iterator[list[Sent]]:
        """The same calls of every tenant, one quarter of an hour after another."""
        nonlocal at_ms
        for quarter in itertools.count():
            at_ms = began_ms + quarter * QUARTER_MS
            yield [call(f"c{at_ms}", tenant, at_ms) for tenant in TENANTS]

    async def typed(*words: str) -> str:
        return await asyncio.to_thread(callwarden, environment, *words)

    async with watched(platform, tmp_path) as (fleet, worker, alarms, sender):
        async with going_on(sender, quarters(), 0.25):
            assert [labels["rule"] for labels in await fires(alarms, "CallwardenRuleTooBroad")] == ["many-calls"]
            await fires(alarms, "CallwardenDecisionFlood")
            await fires(alarms, "CallwardenTenantsLeftOut")
            left_out, others = "callwarden_tenant_pairs_left_out", len(TENANTS) - 10
            await until(lambda: worker.metric(left_out) == others, "all tenants but ten are left out")

            assert await asyncio.to_thread(worker.terminate) == 0
            worker = fleet.add({"CALLWARDEN_METRICS_PAIRS": "1000"})
            alarms.look_at("worker", [worker.target])
            for shown in ("sum(callwarden_alerts_firing)", "count(callwarden_tenant_threshold_ratio)"):
                await until(partial(has_value, alarms, shown, len(TENANTS)), "all are shown")
            assert worker.metric("callwarden_tenant_pairs_left_out") == 0
            await is_quiet(alarms, "CallwardenTenantsLeftOut")

            apply = ("policy", "apply", str(right), "--reason", "three zeros were missing", "--from", str(at_ms))
            assert "would change tier" in await typed(*apply, "--dry-run")
            applied = await typed(*apply, "--no-preview", "--yes", "--wait", WAIT)
            assert applied.count("taken: ") == PARTITIONS
            assert "would change tier" not in applied
            await is_quiet(alarms, "CallwardenRuleTooBroad")
        async with going_on(sender, calls_of_the_present(), 0.5):
            span = ("--from", str(began_ms), "--to", str(at_ms + QUARTER_MS))
            mistake = ("--rule", "many-calls", *span, "--reason", "three zeros were missing")
            listed = await typed("reviews", "overturn", *mistake, "--dry-run")
            assert all(f"  {tenant}  " in listed for tenant in TENANTS)
            await typed("reviews", "overturn", *mistake, "--yes", "--wait", WAIT)
            async with deadline("all of it is taken back"):
                while "many-calls" in await typed("reviews", "overturn", *mistake, "--dry-run"):
                    await asyncio.sleep(0.5)
            await is_quiet(alarms, "CallwardenDecisionFlood")
        await ends_well(platform, fleet, DecidingSettings(LIVE.idle_after_ms, outage_grace_ms=30 * DAY))
