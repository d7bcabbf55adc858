"""Records deleted from a topic before the ledger stored them: refused, with the consequence, until a
person accepts it.
"""

import asyncio
import sqlite3
from pathlib import Path

import pytest
from broker_clusters import delete_below, make_topic, produce
from worker_processes import run_command

from oracle.ledger import event, review
from schemas import codec
from streams.dev.kafka_node import free_ports
from streams.kafka.api import TP

pytestmark = pytest.mark.services


async def test_a_gap_is_refused_until_accepted_and_reported_ever_after(address: str, tmp_path: Path) -> None:
    reviews, decisions = [await make_topic(address, suffix=f".{name}") for name in ("reviews", "enforcement")]
    await make_topic(address, prefix=decisions.removesuffix("enforcement"), suffix="actions")
    await produce(address, TP(reviews, 0), [codec.encode(review(f"r{n}", "cwe-1")) for n in range(5)])
    await produce(address, TP(decisions, 0), [codec.encode(event("cwe-1"))])
    await delete_below(address, TP(reviews, 0), 3)
    output = {
        "CALLWARDEN_BOOTSTRAP_SERVERS": address,
        "CALLWARDEN_LEDGER_PORT": str(free_ports(1)[0]),
        "CALLWARDEN_INPUT_PREFIX": reviews.removesuffix("reviews"),
        "CALLWARDEN_OUTPUT_PREFIX": decisions.removesuffix("enforcement"),
        "CALLWARDEN_LEDGER_DATABASE": f"sqlite:///{tmp_path / 'ledger.db'}",
    }

    async def command(*words: str) -> tuple[int, str]:
        return await asyncio.to_thread(run_command, output, *words)

    gone = f"{reviews}-0: the next record to handle is 0, but all records before 3 were deleted"
    uphold = ("reviews", "uphold", "cwe-1", "--reason", "heard")
    for refused in (("ledger", "run"), uphold):
        status, said = await command(*refused)
        assert status == 2, said
        assert f"callwarden {' '.join(refused[:2])}: {gone}" in said
        assert "a decision whose reversal is missing would appear to be in force" in said
        assert "callwarden ledger accept-loss --reason WHY" in said
    status, said = await command("ledger", "accept-loss", "--reason", "kept for 30 days", "--by", "wang", "--yes")
    assert (status, said) == (0, f"{reviews}-0: offsets 0 to 2 were deleted\naccepted: 1 gap\n")
    status, said = await command(*uphold)
    assert (status, "cwe-1 is final already" in said) == (1, True), said
    status, said = await command("reviews", "show", "cwe-1")
    assert status == 0, said
    assert [name for name in ("r0", "r1", "r2", "r3", "r4") if f" {name} " in said] == ["r3", "r4"]
    status, said = await command("ledger", "verify", "--with-topics")
    assert status == 0, said
    assert f"known to be missing: {reviews}-0: offsets 0 to 2 were deleted before they were recorded" in said
    assert "accepted by wang: kept for 30 days" in said
    status, said = await command("ledger", "accept-loss", "--reason", "again")
    assert (status, said) == (0, "no records were deleted: nothing to accept\n")
    # The ledger sees another cluster at that address.
    with sqlite3.connect(tmp_path / "ledger.db") as connection:
        kept = connection.execute("SELECT DISTINCT cluster FROM ledger_position").fetchall()
        connection.execute("UPDATE ledger_position SET cluster = 'elsewhere'")
    connection.close()
    assert len(kept) == 1
    assert kept[0][0]
    for still_refused in (("ledger", "run"), uphold, ("ledger", "accept-loss", "--reason", "again")):
        status, said = await command(*still_refused)
        assert status == 2, said
        assert f"offsets of the Kafka cluster elsewhere; expected those of {kept[0][0]}. " in said
        assert "use a new, empty database" in said
    status, said = await command("ledger", "verify", "--with-topics")
    assert (status, "offsets of the Kafka cluster elsewhere" in said) == (2, True), said
