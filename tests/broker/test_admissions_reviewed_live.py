"""Applications are approved and rejected, and a kind is chosen, from the terminal on a real Kafka.

The ledger and billing show what follows, and a replay of the topics confirms it.
"""

import asyncio
import json
import time
import uuid
from pathlib import Path

import pytest
from rescale_consumers import Consumers
from test_reviews_live import Reviewer
from worker_judge import assert_exact
from worker_processes import PARTITIONS, fleet_of, wait_for
from worker_traffic import Sender, Sent, likely_ban, make_topics, policy_file, sender_to

from helpers.patience import WAIT
from monitor.decoding.input_topics import INPUTS
from monitor.partition.checkpoint import DecidingSettings
from monitor.partition.partitioner import partition_of
from monitor.policy.load import load
from streams.kafka.topic_names import TopicNames

pytestmark = pytest.mark.services

_LATENESS_S = 2
_WAIT = ("--wait", WAIT, "--reason", "looked into it", "--by", "wang")


def application(tenant: str, at_ms: int) -> Sent:
    """An application for numbers that nothing refuses."""
    record = {"type": "application", "tenant_id": tenant, "application_id": f"a-{tenant}", "updated_ms": at_ms}
    record |= {"declared_business": "after-sales service"}
    home = partition_of(tenant.encode(), PARTITIONS, "murmur2")
    return Sent(INPUTS.index("tenants"), home, tenant.encode(), json.dumps(record).encode())


async def test_applications_and_kinds_are_reviewed_from_the_terminal(address: str, tmp_path: Path) -> None:
    own = uuid.uuid4().hex[:8]
    names = TopicNames(f"{own}.in.", f"{own}.out.")
    policy = policy_file(tmp_path, _LATENESS_S)
    policy.write_text(policy.read_text("utf-8") + "\nadmissions: review\n", "utf-8")
    consumers = Consumers(tmp_path)
    told = {
        "CALLWARDEN_BOOTSTRAP_SERVERS": address,
        "CALLWARDEN_INPUT_PREFIX": names.input_prefix,
        "CALLWARDEN_OUTPUT_PREFIX": names.output_prefix,
        "CALLWARDEN_APPLICATION_ID": f"app-{own}",
        "CALLWARDEN_POLICY": str(policy),
        "CALLWARDEN_IDLE_AFTER": "1s",
        "CALLWARDEN_OUTAGE_GRACE": "1s",
        **consumers.settings,
    }
    await asyncio.to_thread(make_topics, told)
    review = Reviewer(told)

    async def decided(tenant: str) -> tuple[str, str, str]:
        """The kind, status and id of the tenant's only case."""
        [case] = await review.listed("--status", "all", "--tenant", tenant)
        return case["data"]["kind"], case["status"], case["enforcement_id"]

    async def held_by(id_: str) -> None:
        """Wait until billing holds the refunds of one tenant, by that decision. The ledger may know it earlier."""

        def held() -> bool:
            try:
                return consumers.holds(["good", "bad", "lender"]) == {"lender": {id_}}
            except OSError:  # it does not answer while it is behind
                return False

        await asyncio.to_thread(wait_for, held, "billing holds the refunds of one tenant")

    with fleet_of(tmp_path, told) as fleet:
        worker = fleet.add()
        await asyncio.to_thread(fleet.settle)
        following = consumers.following(told)
        await asyncio.to_thread(following.__enter__)
        try:
            begun_ms = time.time_ns() // 1_000_000
            applicants = [application(tenant, begun_ms) for tenant in ("good", "bad")]
            async with sender_to(address) as producer:
                await Sender(producer, names).send([*applicants, likely_ban("lender", begun_ms)])
            waiting = {one["data"]["tenant_id"]: one["enforcement_id"] for one in await review.list_until(3)}
            await held_by(waiting["lender"])

            # What does not fit a waiting application is refused before anything is sent.
            status, said = await review("reviews", "uphold", waiting["good"], "--reason", "no")
            assert (status, "approve" in said) == (1, True), said
            status, said = await review("reviews", "approve", waiting["lender"], "--reason", "no")
            assert status == 1, said

            done = await asyncio.gather(
                review("reviews", "approve", waiting["good"], *_WAIT),
                review("reviews", "reject", waiting["bad"], *_WAIT),
                review("reviews", "uphold", waiting["lender"], "--kind", "termination", *_WAIT),
            )
            assert [status for status, _ in done] == [0, 0, 0], done
            assert (await decided("good"))[:2] == ("admission_approved", "final")
            assert (await decided("bad"))[:2] == ("admission_rejected", "final")
            kind, status_word, terminated = await decided("lender")
            assert (kind, status_word) == ("termination", "final")
            await held_by(terminated)

            # The kind of a final decision is changed; the hold moves with it.
            status, said = await review("reviews", "uphold", terminated, "--kind", "ban", "--yes", *_WAIT)
            assert status == 0, said
            kind, status_word, banned = await decided("lender")
            assert (kind, status_word, banned != terminated) == ("ban", "final", True)
            await held_by(banned)

            # An approval is taken back.
            _, _, approved = await decided("good")
            status, said = await review("reviews", "overturn", approved, *_WAIT)
            assert status == 0, said
            assert (await decided("good"))[1] == "reversed"
            status, said = await review("ledger", "show", "lender")
            assert (status, banned in said) == (0, True), said
            await asyncio.to_thread(wait_for, lambda: worker.lag() == 0, "all records read")
            assert await asyncio.to_thread(worker.terminate) == 0
        finally:
            await asyncio.to_thread(following.__exit__, None, None, None)
    status, said = await review("ledger", "verify", "--with-topics")
    assert status == 0, said
    live = DecidingSettings(idle_after_ms=1_000, outage_grace_ms=1_000)
    counts = await assert_exact(address, names, load(str(policy)), live, PARTITIONS)
    assert counts[names.output("enforcement")] == 3 + 3 + 1 + 1
