"""Reviews from the terminal to a real worker and back: the decisions after reviews equal a replay of the topics."""

import asyncio
import json
import os
import signal
import sys
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from broker_clusters import cluster_at, make_topic
from deadlines import deadline
from postgres import Postgres
from worker_judge import assert_exact, read_all
from worker_processes import PARTITIONS, fleet_of, wait_for
from worker_traffic import Sender, Sent, likely_ban, make_topics, policy_file, sender_to

from helpers.patience import WAIT
from monitor.decoding.input_topics import INPUTS
from monitor.partition.checkpoint import DecidingSettings
from monitor.partition.partitioner import partition_of
from monitor.policy.load import load
from oracle.ledger import pending
from schemas import codec
from schemas.inputs import Review
from streams.consumers.database import Database
from streams.consumers.follower import FollowedRecord
from streams.consumers.ledger import journal
from streams.consumers.ledger.published_heads import head_of
from streams.consumers.ledger.tables import JOURNAL
from streams.consumers.ledger.writer import LedgerWriter
from streams.dev.kafka_node import free_ports
from streams.kafka.api import TP
from streams.kafka.topic_names import TopicNames
from streams.reviews.rejections import RejectedReviews
from streams.reviews.reservations import AlreadyReserved, Reservation, ReviewedBy, all_unsent, claim
from streams.reviews.signatures import SignedValue

pytestmark = pytest.mark.services

_LATENESS_S = 3


class Reviewer:
    """Runs each command in a separate process."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._told = variables

    async def __call__(self, *words: str) -> tuple[int, str]:
        """The exit status and output."""
        running = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "streams.cli", *words),
            env={**os.environ, **self._told, "NO_COLOR": "1"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with deadline(f"{' '.join(words)} ends"):
            said, _ = await running.communicate()
        return running.returncode or 0, said.decode()

    async def listed(self, *filters: str) -> list[dict[str, Any]]:
        """The listed cases; none while there is no ledger yet."""
        status, said = await self("reviews", "list", "--json", *filters)
        if status == 2 and "contains no ledger" in said:
            return []
        assert status == 0, said
        [document] = [line for line in said.splitlines() if line.startswith("{")]
        listed: list[dict[str, Any]] = json.loads(document)["decisions"]
        return listed

    async def list_until(self, count: int, *filters: str) -> list[dict[str, Any]]:
        """The listed cases, once there are that many."""
        async with deadline(f"{count} of {filters}"):
            while len(found := await self.listed(*filters)) < count:
                await asyncio.sleep(0.5)
        return found


async def serve(variables: Mapping[str, str]) -> asyncio.subprocess.Process:
    """`callwarden ledger run`."""
    words = ("ledger", "run", "--port", str(free_ports(1)[0]), "--json-logs")
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "streams.cli", *words, env={**os.environ, **variables}
    )


def warning(tenant: str, number: int) -> Sent:
    """A current complaint that leads to a warning."""
    now_ms = time.time_ns() // 1_000_000
    record: dict[str, object] = {"type": "complaint", "tenant_id": tenant, "complaint_id": f"p{number}"}
    record |= {"category": "number_leak", "status": "verified", "reported_ms": now_ms, "updated_ms": now_ms}
    home = partition_of(tenant.encode(), PARTITIONS, "murmur2")
    return Sent(INPUTS.index("complaints"), home, tenant.encode(), json.dumps(record).encode())


async def test_reviews_and_the_replay_agree_on_the_decisions(address: str, tmp_path: Path) -> None:
    own = uuid.uuid4().hex[:8]
    names = TopicNames(f"{own}.in.", f"{own}.out.")
    policy = policy_file(tmp_path, _LATENESS_S)
    variables = {
        "CALLWARDEN_BOOTSTRAP_SERVERS": address,
        "CALLWARDEN_INPUT_PREFIX": names.input_prefix,
        "CALLWARDEN_OUTPUT_PREFIX": names.output_prefix,
        "CALLWARDEN_APPLICATION_ID": f"app-{own}",
        "CALLWARDEN_POLICY": str(policy),
        "CALLWARDEN_IDLE_AFTER": "1s",
        "CALLWARDEN_OUTAGE_GRACE": "1s",
        "CALLWARDEN_LEDGER_DATABASE": f"sqlite:///{tmp_path / 'ledger.db'}",
    }
    await asyncio.to_thread(make_topics, variables)
    review = Reviewer(variables)
    with fleet_of(tmp_path, variables) as fleet:
        worker = fleet.add()
        await asyncio.to_thread(fleet.settle)
        ledger = await serve(variables)
        begun_ms = time.time_ns() // 1_000_000
        async with sender_to(address) as producer:
            # Four violations of one tenant: a pending escalation, which is withdrawn with them.
            warnings = [warning("acme", number) for number in range(4)] + [warning("bravo", 9)]
            bans = [likely_ban(tenant, begun_ms) for tenant in ("upheld", "overturned")]
            await Sender(producer, names).send([*bans, *warnings])
        waiting = {each["data"]["tenant_id"]: each["enforcement_id"] for each in await review.list_until(3)}
        assert set(waiting) == {"upheld", "overturned", "acme"}

        # A pending decision is upheld; the final decision arrives before the command ends.
        status, said = await review("reviews", "uphold", waiting["upheld"], "--reason", "heard", "--wait", WAIT)
        assert status == 0, said
        [final] = await review.listed("--status", "final", "--tenant", "upheld")
        assert final["event_ids"] == [waiting["upheld"], final["enforcement_id"]]
        assert final["enforcement_id"] in said
        status, said = await review("reviews", "uphold", waiting["upheld"], "--reason", "again")
        assert (status, "is final already, upheld by" in said) == (1, True), said

        # Two reviewers at the same time.
        verdicts = [("uphold", "wang"), ("overturn", "li")]
        both = await asyncio.gather(
            *(
                review("reviews", verdict, waiting["overturned"], "--reason", f"{who} says so", "--by", who)
                for verdict, who in verdicts
            )
        )
        assert sorted(status for status, _ in both) == [0, 1], both
        first = verdicts[0][1] if both[0][0] == 0 else verdicts[1][1]
        second = next(said for status, said in both if status)
        assert f"{first} decided to" in second or f"by {first} ({first} says so)" in second, second

        # A rule's mass mistake.
        span = ("--from", str(begun_ms), "--to", str(begun_ms + 3_600_000))
        mass = ("reviews", "overturn", "--rule", "blind_calling", *span, "--reason", "a wrong sign", "--yes")
        await review.list_until(5, "--status", "final", "--rule", "blind_calling")
        status, said = await review(*mass, "--wait", WAIT)
        assert status == 0, said
        assert len(await review.listed("--status", "reversed", "--rule", "blind_calling")) == 5
        assert [each["status"] for each in await review.listed("--status", "all", "--tenant", "acme")] == [
            "reversed"
        ] * 5
        status, said = await review(*mass)
        assert (status, "nothing to overturn" in said) == (0, True), said
        async with deadline("nothing waits"):
            while await review.listed():
                await asyncio.sleep(0.5)

        await asyncio.to_thread(wait_for, lambda: worker.lag() == 0, "all records read")
        assert await asyncio.to_thread(worker.terminate) == 0
    status, said = await review("ledger", "verify", "--with-topics")
    assert status == 0, said
    status, said = await review("ledger", "show", "acme")
    assert (status, "无在案违规 / Clear" in said) == (0, True), said
    assert "0 behind" in said.splitlines()[0]
    assert "warning: " not in said
    ledger.terminate()
    assert await ledger.wait() == 0
    live = DecidingSettings(idle_after_ms=1_000, outage_grace_ms=1_000)
    counts = await assert_exact(address, names, load(str(policy)), live, PARTITIONS)
    logs = await read_all(address, [names.input_prefix + "reviews"], PARTITIONS)
    assert len(logs.of(names.input_prefix + "reviews")) == 7
    assert counts[names.output("enforcement")] == 3 + 5 + 2 + 5 + 1


# A process that kills itself at a step of sending; with the step "none" it runs normally.
_KILLED = """
import os, signal, sys
from streams.cli.app import main
from streams.reviews import interrupted_reservations, reservation_sender, sender_context
step = sys.argv.pop(1)
if step != "none":
    module = sender_context if step == "commit_records" else reservation_sender
    assert hasattr(module, step)
    setattr(module, step, lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
interrupted_reservations._LOOK_S, interrupted_reservations._INTERRUPTED_S = 0.2, 0.5
main()
"""
_BEFORE, _AFTER = "commit_records", "mark_sent"  # before the record is written, and after that but before it is noted


@pytest.mark.parametrize(
    ("kind", "kills"),
    [("sqlite", (_BEFORE, _BEFORE, _AFTER)), ("sqlite", (_AFTER,)), ("postgresql", (_BEFORE, _AFTER))],
)
async def test_an_interrupted_verdict_is_sent_once_by_the_ledger_service(
    address: str, postgres: Postgres, tmp_path: Path, kind: str, kills: tuple[str, ...]
) -> None:
    own = uuid.uuid4().hex[:8]
    names = TopicNames(f"{own}.in.", f"{own}.out.")
    url = f"sqlite:///{tmp_path / 'ledger.db'}" if kind == "sqlite" else postgres.database("interrupted")
    variables = {
        "CALLWARDEN_BOOTSTRAP_SERVERS": address,
        "CALLWARDEN_INPUT_PREFIX": names.input_prefix,
        "CALLWARDEN_OUTPUT_PREFIX": names.output_prefix,
        "CALLWARDEN_APPLICATION_ID": f"app-{own}",
        "CALLWARDEN_LEDGER_DATABASE": url,
    }
    await asyncio.to_thread(make_topics, variables)
    decision = pending("cwe-p", review_by_ms=time.time_ns() // 1_000_000 + 86_400_000)
    async with AIOKafkaProducer(bootstrap_servers=address) as producer:
        await producer.send_and_wait(names.output("enforcement"), codec.encode(decision), partition=0)

    async def start(step: str, *words: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _KILLED, step, *words), env={**os.environ, **variables, "NO_COLOR": "1"}
        )

    uphold = ("reviews", "uphold", "cwe-p", "--reason", "heard", "--by", "wang")
    serve = ("ledger", "run", "--port", str(free_ports(1)[0]), "--json-logs")
    command, *services = kills
    for step, words in [(command, uphold), *((step, serve) for step in services)]:
        process = await start(step, *words)
        async with deadline(f"{words[:2]} is killed at {step}"):
            assert await process.wait() == -signal.SIGKILL
    process = await start("none", *serve)
    database = Database(url, "ledger")
    try:
        async with deadline("it is sent"):
            while await asyncio.to_thread(unsent_in, database):
                await asyncio.sleep(0.1)
    finally:
        database.close()
        process.terminate()
        await process.wait()
    logs = await read_all(address, [names.input_prefix + "reviews"], PARTITIONS)
    [record] = logs.of(names.input_prefix + "reviews")
    sent = codec.read(record.value)
    assert isinstance(sent, Review)
    assert (sent.enforcement_id, sent.verdict, sent.reviewer) == ("cwe-p", "uphold", "wang")
    review = Reviewer(variables)
    status, said = await review("reviews", "overturn", "cwe-p", "--reason", "no", "--by", "li")
    assert (status, "wang decided to uphold it" in said, "it was sent" in said) == (1, True, True), said
    status, said = await review("ledger", "verify", "--with-topics")
    assert status == 0, said


def unsent_in(database: Database) -> list[Reservation]:
    with database.reading() as connection:
        return all_unsent(connection)


async def test_rejections_are_those_of_reviews_since_the_start_of_reading(address: str) -> None:
    letters = await make_topic(address, 2, suffix=".dead-letter")
    names = TopicNames("in.", letters.removesuffix("dead-letter"))

    async def reject(number: int, topic: str, *values: bytes) -> None:
        headers = [("topic", topic.encode()), ("reason", b"nothing_to_change: too late"), ("partition", b"0")]
        async with AIOKafkaProducer(bootstrap_servers=address) as producer:
            for value in values:
                await producer.send_and_wait(letters, value, key=b"k", partition=number, headers=headers)

    await reject(0, "in.reviews", b"before")
    async with cluster_at(address) as cluster:
        rejections = RejectedReviews(cluster, names)
        await rejections.begin()
        assert await rejections.read_new() == {}
        await reject(0, "in.reviews", b"one", b"two")
        await reject(1, "in.findings", b"a finding")
        expected = dict.fromkeys((SignedValue(b"one"), SignedValue(b"two")), "nothing_to_change: too late")
        async with deadline("both are seen"):
            while await rejections.read_new() != expected:
                await asyncio.sleep(0.05)
        await reject(1, "in.reviews", b"three")
        async with deadline("the third is seen as well"):
            while await rejections.read_new() != {**expected, SignedValue(b"three"): "nothing_to_change: too late"}:
                await asyncio.sleep(0.05)
        # From an hour before the given instant on, because clocks differ.
        hour_ms, present_ms = 3_600_000, time.time_ns() // 1_000_000
        for since_ms, count in ((present_ms, 4), (present_ms + 2 * hour_ms, 0)):
            earlier = RejectedReviews(cluster, names)
            await earlier.begin(since_ms)
            async with deadline("those of that time are seen"):
                while len(await earlier.read_new()) != count:
                    await asyncio.sleep(0.05)


async def test_an_unavailable_broker_is_reported(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path / 'ledger.db'}"
    review = Reviewer({"CALLWARDEN_BOOTSTRAP_SERVERS": "127.0.0.1:1", "CALLWARDEN_LEDGER_DATABASE": database})
    status, said = await review("reviews", "uphold", "cwe-p", "--reason", "heard")
    assert status == 3, said
    assert said.startswith("callwarden reviews uphold: ")
    assert len(said.splitlines()) == 1


async def test_of_many_concurrent_reviewers_on_postgresql_one_claims_each_case(postgres: Postgres) -> None:
    url = postgres.database("claims")
    databases = [Database(url, "ledger") for _ in range(4)]
    await databases[0].migrate()
    ids = [f"cwe-{number}" for number in range(25)]
    values = [codec.encode(pending(each, "a\x00b")) for each in ids]
    records = [FollowedRecord(TP("out.enforcement", 0), n, 1, None, value) for n, value in enumerate(values)]
    await databases[0].run(lambda connection: LedgerWriter().keep(connection, records))

    async def claim_all(number: int) -> list[Reservation | None]:
        claimed: list[Reservation | None] = []
        for each in ids:

            def work(connection: Any, each: str = each) -> Reservation:
                return claim(
                    connection, each, "uphold", ReviewedBy(f"reviewer {number}", "why"), 1_772_500_000_000 + number
                )

            try:
                claimed.append(await databases[number].run(work))
            except AlreadyReserved:
                claimed.append(None)
        return claimed

    claimed = await asyncio.gather(*map(claim_all, range(4)))
    assert [sum(one is not None for one in each) for each in zip(*claimed, strict=True)] == [1] * len(ids)
    with databases[0].reading() as connection:
        assert list(journal.differences(connection)) == []
        assert head_of(connection, JOURNAL).number == len(ids)
    for database in databases:
        database.close()
