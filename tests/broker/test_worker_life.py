"""A worker on a real broker: it waits for the broker, leaves the group at once, and survives an outage."""

import asyncio
import uuid
from pathlib import Path

import pytest
from broker_clusters import produce
from worker_judge import assert_exact
from worker_processes import AWAY, BACK, PARTITIONS, Worker, fleet_of, run_command, wait_for
from worker_traffic import Day, Sender, Sent, make_topics, policy_file, sender_to

from helpers.patience import WAIT
from monitor.partition.checkpoint import DecidingSettings
from monitor.policy.load import load
from streams.dev.kafka_node import DevKafka
from streams.kafka.api import TP
from streams.kafka.topic_names import TopicNames

pytestmark = pytest.mark.services

_LATENESS_S = 5
_OUTAGE_S = 20
_IDLE_AFTER_S = 2


def environment(address: str, names: TopicNames, **more: str) -> dict[str, str]:
    """The environment of a worker with a unique application id."""
    return {
        "CALLWARDEN_BOOTSTRAP_SERVERS": address,
        "CALLWARDEN_INPUT_PREFIX": names.input_prefix,
        "CALLWARDEN_OUTPUT_PREFIX": names.output_prefix,
        "CALLWARDEN_APPLICATION_ID": f"app-{uuid.uuid4().hex[:8]}",
        **more,
    }


def names_of_our_own() -> TopicNames:
    """Uniquely named topics."""
    own = uuid.uuid4().hex[:8]
    return TopicNames(f"{own}.in.", f"{own}.out.")


async def test_a_worker_that_is_asked_to_stop_leaves_the_group_at_once(address: str, tmp_path: Path) -> None:
    names = names_of_our_own()
    # If only the session timeout removed it, the others would wait longer than this test.
    patient = environment(address, names, CALLWARDEN_SESSION_TIMEOUT="300s", CALLWARDEN_HEARTBEAT="2s")
    await asyncio.to_thread(make_topics, patient)
    with fleet_of(tmp_path, patient) as fleet:
        first, second = fleet.add(), fleet.add()
        await asyncio.to_thread(fleet.settle)
        assert await asyncio.to_thread(first.terminate) == 0
        await asyncio.to_thread(fleet.settle)
        assert second.owned() == set(range(PARTITIONS))
        await asyncio.to_thread(wait_for, lambda: second.get("/readyz")[0] == 200, "it knows how far it is")
        assert second.get("/healthz")[0] == 200
        assert await asyncio.to_thread(second.terminate) == 0
        assert first.said_else() + second.said_else() == []


async def test_a_worker_waits_for_a_broker_that_is_not_there_yet(jars: Path, tmp_path: Path) -> None:
    names = names_of_our_own()
    with DevKafka(tmp_path / "node", jars) as node:
        variables = environment(node.address, names)
        await asyncio.to_thread(make_topics, variables)
        node.stop()
        with fleet_of(tmp_path, variables) as fleet:
            worker = fleet.add()
            await asyncio.to_thread(wait_for, lambda: worker.times_said(AWAY), "it says that the broker is away")
            why = next(line["why"] for line in worker.said() if line["event"] == AWAY)
            assert node.address in why
            await asyncio.to_thread(node.start)
            await asyncio.to_thread(fleet.settle)
            # The same after it has started: it is not ready meanwhile.
            await asyncio.to_thread(node.kill)
            not_ready = (503, "the broker is away\n")
            await asyncio.to_thread(wait_for, lambda: worker.get("/readyz") == not_ready, "it is not ready")
            assert worker.metric("callwarden_broker_away") == 1
            await asyncio.to_thread(node.start)
            await asyncio.to_thread(wait_for, lambda: worker.get("/readyz")[0] == 200, "it is ready again")
            assert worker.metric("callwarden_broker_away") == 0
            await asyncio.to_thread(node.kill)
            assert await asyncio.to_thread(worker.terminate) == 0
            assert worker.said_else() == []


async def test_a_source_that_was_away_for_less_than_the_grace_loses_no_call(address: str, tmp_path: Path) -> None:
    """Two applications read the same calls; for one the outage is longer than its grace period."""
    own = names_of_our_own()
    graces = {"patient": 3600, "hasty": 1}
    applications = {who: TopicNames(own.input_prefix, f"{own.output_prefix}{who}.") for who in graces}
    policy = policy_file(tmp_path, _LATENESS_S)
    day = Day(1, pieces=1, tenants=60, calls=1_000, partitions=PARTITIONS)
    fleets = {}
    for who, names in applications.items():
        variables = environment(
            address,
            names,
            CALLWARDEN_POLICY=str(policy),
            CALLWARDEN_IDLE_AFTER=f"{_IDLE_AFTER_S}s",
            CALLWARDEN_OUTAGE_GRACE=f"{graces[who]}s",
        )
        await asyncio.to_thread(make_topics, variables)
        (tmp_path / who).mkdir()
        fleets[who] = fleet_of(tmp_path / who, variables)
    with fleets["patient"] as patient, fleets["hasty"] as hasty:
        for fleet in (patient, hasty):
            fleet.add()
            await asyncio.to_thread(fleet.settle)
        async with sender_to(address) as producer:
            sender = Sender(producer, own)
            await sender.send(day.calls_now(0))
            old, recent, silent_s = list[Sent](), list[Sent](), 0.0
            for number in range(_OUTAGE_S):
                await asyncio.sleep(1)
                (old if number < _OUTAGE_S - _LATENESS_S else recent).extend(day.calls_now(1 + number))
                # It begins again where the worker itself stood still.
                silent_s = max(silent_s, patient.running[0].metric("callwarden_cdr_feed_silent_seconds"))
            assert silent_s > _IDLE_AFTER_S
            await sender.send(old)  # to all partitions, before any of them is current again
            await sender.send(recent)

            def heard() -> bool:
                return patient.running[0].metric("callwarden_cdr_feed_silent_seconds") < silent_s

            await asyncio.to_thread(wait_for, heard, "calls come again")
            for number in range(10):
                await sender.send(day.calls_now(100 + number))
                await asyncio.sleep(1)
        for fleet in (patient, hasty):
            [worker] = fleet.running
            await asyncio.to_thread(wait_for, worker.is_at_end, "all records read")
            assert worker.times_said("no calls arrive in any partition; windows wait for the outage grace")
        await asyncio.sleep(5)
        for fleet in (patient, hasty):
            assert await asyncio.to_thread(fleet.all[0].terminate) == 0
    late = {}
    for who, names in applications.items():
        live = DecidingSettings(idle_after_ms=1000 * _IDLE_AFTER_S, outage_grace_ms=graces[who] * 1000)
        counts = await assert_exact(address, names, load(str(policy)), live, PARTITIONS)
        late[who] = counts[names.output("late")]
    assert late["patient"] == 0
    assert late["hasty"] > 0


async def test_a_broker_that_was_away_for_longer_than_the_grace_loses_no_call(jars: Path, tmp_path: Path) -> None:
    """The first half of a day is written when the broker is killed; the second half arrives after its return."""
    grace_s, idle_after_s = 5, 30
    names = names_of_our_own()
    policy = policy_file(tmp_path)
    day = Day(2, pieces=2, tenants=60, calls=4_000, partitions=PARTITIONS, late_share=0.0)
    first_half, backlog = day.pieces
    # While it is paused, the node's own controller must not take it for lost: its partitions would have no leader for a
    # moment, and Kafka leaves the markers of a transaction out that is committed then.
    with DevKafka(tmp_path / "node", jars, properties={"broker.session.timeout.ms": "30000"}) as node:
        variables = environment(
            node.address,
            names,
            CALLWARDEN_POLICY=str(policy),
            CALLWARDEN_IDLE_AFTER=f"{idle_after_s}s",
            CALLWARDEN_OUTAGE_GRACE=f"{grace_s}s",
        )
        await asyncio.to_thread(make_topics, variables)
        async with sender_to(node.address) as producer:
            await Sender(producer, names).send(first_half)
        with fleet_of(tmp_path, variables) as fleet:
            worker = fleet.add()

            def has_read() -> bool:
                return worker.owned() == set(range(PARTITIONS)) and worker.lag() == 0

            await asyncio.to_thread(wait_for, has_read, "the first half was read, and the logs looked at")
            await asyncio.to_thread(wait_for, lambda: worker.get("/readyz")[0] == 200, "it is ready")
            node.pause()
            await asyncio.to_thread(
                wait_for, lambda: worker.get("/readyz")[1].startswith("the broker "), "it says so"
            )  # that it has not answered, before any request has timed out; on a slow machine that it is away
            node.resume()
            await asyncio.to_thread(wait_for, lambda: worker.get("/readyz")[0] == 200, "it is ready again")
            away, back = worker.times_said(AWAY), worker.times_said(BACK)
            await asyncio.to_thread(node.kill)
            await asyncio.to_thread(wait_for, lambda: worker.times_said(AWAY) > away, "it says that the broker is away")
            assert worker.metric("callwarden_broker_away") == 1
            await asyncio.sleep(idle_after_s + grace_s)
            assert worker.metric("callwarden_broker_away") == 1
            await asyncio.to_thread(node.start)
            # The worker has already checked the logs when the calls arrive: by wall-clock time their grace has expired.
            await asyncio.to_thread(wait_for, lambda: worker.times_said(BACK) > back, "it has looked")
            assert worker.metric("callwarden_broker_away") == 0
            async with sender_to(node.address) as producer:
                sender = Sender(producer, names)
                await sender.send(backlog)
                for number in range(5):
                    await sender.send(day.calls_now(number))
                    await asyncio.sleep(1)
            # Then the clocks of silent sources advance, and the waiting decisions are made.
            await asyncio.to_thread(wait_for, lambda: worker.sum("callwarden_decisions_total") > 10, "it decides")
            assert await asyncio.to_thread(worker.terminate) == 0
            assert worker.said_else() == []
        live = DecidingSettings(idle_after_ms=1000 * idle_after_s, outage_grace_ms=1000 * grace_s)
        counts = await assert_exact(node.address, names, load(str(policy)), live, PARTITIONS)
        assert counts[names.output("late")] == 0
        assert counts[names.output("enforcement")] > 10


async def test_an_acceptance_is_answered_by_the_worker_that_refused(address: str, tmp_path: Path) -> None:
    names = names_of_our_own()
    variables = environment(address, names)
    await asyncio.to_thread(make_topics, variables)
    # A decision exists, and no state.
    decided = TP(names.output("enforcement"), 3)
    await produce(address, decided, [b"{}"])

    def refuses(worker: Worker) -> None:
        wait_for(lambda: worker.owned("refused") == {3}, "it refuses")

    with fleet_of(tmp_path, variables) as fleet:
        worker = fleet.add()
        await asyncio.to_thread(refuses, worker)

        async def accept(offset: int, *more: str) -> tuple[int, str]:
            command = ["accept", "lost-state", "--partition", "3", "--offset", str(offset), "--reason", "a test", *more]
            return await asyncio.to_thread(run_command, variables, *command)

        # The acceptance of another loss.
        status, said = await accept(7)
        assert (status, said.partition(": ")[2]) == (
            2,
            f"--offset: expected 1, got 7: {decided.topic}-3 ends there now; see the worker's newest "
            "`partition refused`\n",
        )
        await asyncio.to_thread(refuses, worker)
        assert await accept(1, "--wait", WAIT) == (0, "taken: partition 3 has continued, and has recorded it\n")
        assert await asyncio.to_thread(worker.terminate) == 0
