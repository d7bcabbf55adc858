"""A canary beside production on a real broker: it needs only another output prefix, and production is not affected."""

import asyncio
import json
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from broker_clusters import cluster_at
from deadlines import deadline
from worker_judge import assert_exact, read_all
from worker_processes import PARTITIONS, Fleet, fleet_of, run_command, wait_for
from worker_traffic import Day, Sender, Sent, call_now, make_topics, policy_file, sender_to

from monitor.decoding.input_topics import INPUTS
from monitor.partition.checkpoint import DecidingSettings
from monitor.partition.partitioner import partition_of
from monitor.policy.load import load
from monitor.simulate.settings import DAY_MS
from streams.dev.kafka_node import free_ports
from streams.kafka.admin import existing_topics
from streams.kafka.topic_admin import ExistingTopic, required_topics
from streams.kafka.topic_names import TopicNames
from streams.settings.load import load as settings_of

pytestmark = pytest.mark.services

_SEED = 12
# Additional rules of the canary's policy; one of production's has another threshold.
BUSY_HOUR = (
    "- {id: busy-hour, behaviour: blind_calling, metric: attempts, above: 20, window: 1h, step: 5m, mode: review}"
)


def environment(address: str, names: TopicNames, policy: Path) -> dict[str, str]:
    """The environment of a worker without an application id, which defaults to the output prefix."""
    return {
        "CALLWARDEN_BOOTSTRAP_SERVERS": address,
        "CALLWARDEN_INPUT_PREFIX": names.input_prefix,
        "CALLWARDEN_OUTPUT_PREFIX": names.output_prefix,
        "CALLWARDEN_POLICY": str(policy),
        "CALLWARDEN_IDLE_AFTER": "1s",
        "CALLWARDEN_OUTAGE_GRACE": "30d",  # the calls' clock advances with calls only
    }


async def existing(environment: Mapping[str, str], names: TopicNames) -> dict[str, ExistingTopic]:
    """The topics as they exist."""
    address = environment["CALLWARDEN_BOOTSTRAP_SERVERS"]
    settings = settings_of({"input_prefix": names.input_prefix, "output_prefix": names.output_prefix})
    async with cluster_at(address) as cluster:
        return await existing_topics(cluster.questions, required_topics(settings))


async def decisions(address: str, names: TopicNames) -> list[dict[str, Any]]:
    """The committed decisions."""
    logs = await read_all(address, [names.output("enforcement")], PARTITIONS)
    return [json.loads(record.value or b"") for record in logs.of(names.output("enforcement"))]


async def decided_by_both(address: str, first: TopicNames, second: TopicNames) -> list[dict[str, Any]]:
    """The final decisions under both prefixes that can be overturned, as events of the first prefix."""
    ids = {event["id"] for event in await decisions(address, second)}
    ids -= {event["data"]["reverses"] for event in await decisions(address, first)}
    final = [event for event in await decisions(address, first) if event["data"]["status"] == "final"]
    return [event for event in final if event["id"] in ids and event["data"]["reverses"] is None]


def reviews_of(event: dict[str, Any]) -> list[str]:
    """The ids of the reviews that led to a decision."""
    ids: list[str] = event["data"]["evidence"]["review_ids"]
    return ids


def last_end_ms(records: Sequence[Sent]) -> int:
    """When the last of the calls ended, poison and late calls apart."""
    calls = (json.loads(one.value or b"") for one in records if one.source == INPUTS.index("cdr") and not one.mark)
    return max(int(call["end_ms"]) for call in calls)


def blind_dialling(at_ms: int) -> list[Sent]:
    """Calls of one tenant that end at that time and break the rule `blind-dialling`, which both policies have alike."""
    answered = {"outcome": "answered", "answer_ms": at_ms - 3_000}
    outcomes = [answered] * 100 + [{"outcome": "invalid_number"}] * 80 + [{"outcome": "no_answer"}] * 220
    times = {"start_ms": at_ms - 20_000, "end_ms": at_ms}
    return [
        call_now("blind", f"blind-{number}", callee=f"0217788{number:04}", **times, **outcome)
        for number, outcome in enumerate(outcomes)
    ]


def review_of(event: dict[str, Any]) -> Sent:
    """A review that overturns the decision."""
    tenant = event["subject"]
    review = {"type": "review", "review_id": "of-both", "enforcement_id": event["id"], "tenant_id": tenant}
    review |= {"verdict": "overturn", "reviewer": "ops", "reason": "", "updated_ms": event["data"]["decided_ms"] + 1}
    home = partition_of(tenant.encode(), PARTITIONS, "murmur2")
    return Sent(INPUTS.index("reviews"), home, tenant.encode(), json.dumps(review).encode())


async def caught_up(*fleets: Fleet) -> None:
    """Wait until every record is read and the decisions due are committed."""
    for fleet in fleets:
        for worker in fleet.running:
            await asyncio.to_thread(wait_for, worker.is_at_end, "all records read")
    await asyncio.sleep(3)


async def test_a_canary_reads_productions_topics_without_affecting_production(address: str, tmp_path: Path) -> None:
    own = uuid.uuid4().hex[:8]
    production, canary = TopicNames(f"{own}.", f"{own}."), TopicNames(f"{own}.", f"{own}-canary.")
    policies = {production: policy_file(tmp_path), canary: tmp_path / "canary.yaml"}
    text = policies[production].read_text("utf-8").replace("id: access-rules\n", "id: canary\n", 1)
    text = text.replace("above: 0.25\n", "above: 0.2\n", 1)
    policies[canary].write_text(text.replace("rules:\n", f"rules:\n{BUSY_HOUR}\n", 1), "utf-8")
    settings = {names: environment(address, names, policy) for names, policy in policies.items()}
    settings[production]["CALLWARDEN_SESSION_TIMEOUT"] = "5m"  # a machine that stands still expels none of its workers
    (tmp_path / "canary").mkdir()
    day = Day(_SEED, pieces=4, tenants=60, calls=4_000, partitions=PARTITIONS)
    from_ms = day.middle_ms
    settings[canary]["CALLWARDEN_ENFORCE_FROM"] = str(from_ms)
    print(f"seed {_SEED}")

    await asyncio.to_thread(make_topics, settings[production])
    before = await existing(settings[production], production)
    status, said = await asyncio.to_thread(
        run_command, settings[canary], "topics", "create", "--replication-factor", "1"
    )
    assert status == 0, said
    assert sorted(line.split()[1].rstrip(":") for line in said.splitlines() if line.startswith("created ")) == sorted(
        {*canary.all, *map(canary.output, ("ingest-keys", "raw", "raw-state", "follow", "actions"))}
        - set(canary.inputs)
    )
    assert await existing(settings[production], production) == before

    with fleet_of(tmp_path, settings[production]) as judges, fleet_of(tmp_path / "canary", settings[canary]) as birds:
        judges.add()
        judges.add()
        await asyncio.to_thread(judges.settle)
        async with sender_to(address) as producer:
            sender = Sender(producer, production)
            await sender.send(day.pieces[0])
            birds.add()
            await asyncio.to_thread(birds.settle)
            opened = [worker.opened() for worker in judges.running]
            await sender.send(day.pieces[1])

            # With production's id it would fence production's writers: it refuses to start, whatever else is
            # configured.
            mistaken = {
                **settings[canary],
                "CALLWARDEN_APPLICATION_ID": own,
                "CALLWARDEN_WEB_PORT": str(free_ports(1)[0]),
            }
            mistaken["CALLWARDEN_OUTPUT_PREFIX"] = production.output_prefix.replace(".", "-other.")
            assert (await asyncio.to_thread(run_command, mistaken, "topics", "create", "--replication-factor", "1"))[
                0
            ] == 0
            status, said = await asyncio.to_thread(run_command, mistaken, "worker")
            assert status == 2, said
            assert f"they listen to {production.output('control')}" in said

            birds.running[0].kill()
            await sender.send(day.pieces[2])
            # At any hour of the day both make this decision at the calls' clock. The others may all be about records,
            # and those have different ids if a source was silent for one of both (contract, section 3).
            await sender.send(blind_dialling(last_end_ms(day.pieces[2])))
            # The next worker is configured differently, and keeps the setting stored in the state.
            settings[canary]["CALLWARDEN_ENFORCE_FROM"] = ""
            birds.add()
            await asyncio.to_thread(birds.settle)
            assert (
                birds.running[0].times_said("the state has another CALLWARDEN_ENFORCE_FROM, which stays in effect")
                == PARTITIONS
            )
            await sender.send(day.pieces[3])
            await sender.send(day.calls_now(0))
            await caught_up(judges, birds)
            async with deadline("both have decided the same"):
                while not (both := await decided_by_both(address, production, canary)):
                    await asyncio.sleep(1)
            await sender.send([review_of(both[-1])])
            await caught_up(judges, birds)
            await sender.send(day.calls_now(1))
            await caught_up(judges, birds)
            async with deadline("both have reviewed it"):
                for names in policies:
                    while not any("of-both" in reviews_of(event) for event in await decisions(address, names)):
                        await asyncio.sleep(0.5)
        for worker in judges.running:
            assert worker.times_said("transaction failed; the state is read again") == 0
        assert [worker.opened() for worker in judges.running] == opened
        for fleet in (judges, birds):
            for worker in fleet.running:
                assert await asyncio.to_thread(worker.terminate) == 0

        # It also refuses while production is not running.
        status, said = await asyncio.to_thread(run_command, mistaken, "worker")
        assert status == 2, said
        assert f"--delete --group {own}" in said

    live = DecidingSettings(idle_after_ms=1_000, outage_grace_ms=30 * DAY_MS)
    decided = {}
    for names, policy in policies.items():
        ruled = load(str(policy))
        # After a second of silence, the complaints' clock is the system's. The evening's complaints are decided at that
        # clock, so production may also receive reviews of decisions that were expected at another time.
        counts = await assert_exact(address, names, ruled, live, PARTITIONS, unknown_reviews=True)
        assert counts[names.output("enforcement")] > 5  # the canary began late: how many it makes depends on the clocks
        print(counts)
        decided[names] = await decisions(address, names)
        assert all(event["data"]["policy"]["sha256"] == ruled.sha256 for event in decided[names])
    assert min(event["data"]["decided_ms"] for event in decided[canary]) >= from_ms
    # The review of production's decision also applies to the canary's, which has the same id.
    for events in decided.values():
        assert any(event["data"]["evidence"]["review_ids"] == ["of-both"] for event in events)
    assert await existing(settings[production], production) == before

    # `compare` reports the differences between both.
    status, said = await asyncio.to_thread(
        run_command, settings[canary], "compare", *(n.output_prefix for n in policies), "--json"
    )
    assert status == 1, said
    found = json.loads(said)
    ids = {names: {event["id"] for event in events} for names, events in decided.items()}
    common = ids[production] & ids[canary]
    assert found["same"] + len(found["changed"]) == len(common)
    assert {pair["a"]["id"] for pair in found["moved"]} | {e["id"] for e in found["only_a"]} == ids[production] - common
    assert {pair["b"]["id"] for pair in found["moved"]} | {e["id"] for e in found["only_b"]} == ids[canary] - common
    assert any(rule["rule_id"] == "busy-hour" and rule["only_b"] for rule in found["rules"])
    status, said = await asyncio.to_thread(
        run_command, settings[canary], "compare", *(n.output_prefix for n in policies)
    )
    assert status == 1, said
    print(said)
    assert "busy-hour" in said
    same = [production.output_prefix] * 2
    assert (await asyncio.to_thread(run_command, settings[canary], "compare", *same))[0] == 0
    status, said = await asyncio.to_thread(run_command, settings[canary], "compare", production.output_prefix, f"{own}")
    assert (status, f"there is no topic {own}enforcement, {own}state" in said) == (2, True)
