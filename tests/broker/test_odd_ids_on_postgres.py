"""The strangest ids and texts that the contract allows, in every consumer's tables on a real PostgreSQL."""

from collections.abc import Callable, Sequence

import pytest
from postgres import Postgres
from sqlalchemy import Connection, select

from monitor.policy.load import load
from oracle.ledger import T0, event, pending, review
from schemas import codec
from schemas.outputs import Evidence, Reason
from streams.consumers.billing.handler import Handler
from streams.consumers.billing.holds import holds_of
from streams.consumers.database import Database
from streams.consumers.follower import FollowedRecord, Handle
from streams.consumers.ledger.verify.chains import verify
from streams.consumers.ledger.writer import LedgerWriter
from streams.consumers.notify.handler import NotifyHandler
from streams.consumers.notify.rules.rules_by_policy import RulesByPolicy
from streams.consumers.notify.rules.throttle import Throttle
from streams.consumers.notify.tables import PENDING, TENANTS
from streams.consumers.notify.telemetry import NotifyMetrics
from streams.kafka.api import TP

pytestmark = pytest.mark.services

ENFORCEMENT, REVIEWS = TP("callwarden.enforcement", 0), TP("callwarden.reviews", 0)
# PostgreSQL stores no U+0000; a code point may take four bytes.
TENANTS_SEEN = ["a\0b", "a\\0b", "\\", "\u202e", "é", "e\u0301", "x" * 128, "\U0001f600" * 128]
WORDS = Reason("甲\0\\", "a\0\\")


def decisions() -> list[FollowedRecord]:
    events = []
    for number, tenant in enumerate(TENANTS_SEEN):
        frozen = {"kind": "termination", "tier": "major", "refunds": "frozen", "rule_id": "r\0", "behaviour": "b\0"}
        evidence = Evidence(call_ids=("c\0",), complaint_ids=("\\",))
        events.append(event(f"{number}\0".ljust(128, "e"), tenant, reason=WORDS, evidence=evidence, **frozen))
        events.append(pending(f"p{number}\0".ljust(128, "e"), tenant))
    unreadable = [None, b"", b"\0", b"\xff", b"{}", b'{"id":"x\\u0000","subject":7}', b"[" * 10_000]
    values = [*map(codec.encode, events), *unreadable]
    return [FollowedRecord(ENFORCEMENT, offset, T0, b"k\0", value) for offset, value in enumerate(values)]


def reviews() -> list[FollowedRecord]:
    made = [
        review(f"v{n}\0", f"p{n}\0".ljust(128, "e"), tenant=tenant, reason="why\0", reviewer="w\0\\")
        for n, tenant in enumerate(TENANTS_SEEN)
    ]
    return [FollowedRecord(REVIEWS, offset, T0, None, codec.encode(one)) for offset, one in enumerate(made)]


async def handled(database: Database, handle: Handle, records: Sequence[FollowedRecord]) -> None:
    await database.migrate()

    def take(connection: Connection) -> Callable[[], None] | None:
        return handle(connection, records)

    if committed := await database.run(take):
        committed()


async def test_billing_keeps_tenants_apart(postgres: Postgres) -> None:
    database = Database(postgres.database("odd-billing"), "billing")
    await handled(database, Handler(), decisions())
    with database.reading() as connection:
        found = holds_of(connection, TENANTS_SEEN)
    assert {tenant: len(holds) for tenant, holds in found.items()} == dict.fromkeys(TENANTS_SEEN, 2)
    assert {hold.reason_en for holds in found.values() for hold in holds} == {WORDS.en, "Short calls"}
    database.close()


async def test_the_ledger_keeps_and_verifies_them(postgres: Postgres) -> None:
    database = Database(postgres.database("odd-ledger"), "ledger")
    records = [*decisions(), *reviews()]
    await handled(database, LedgerWriter().keep, records)
    with database.reading() as connection:
        found = verify(connection, {})
    assert sum(head.number for head in found.heads.values()) == len(records)
    # Nothing has moved the position in this test; everything else is correct.
    assert [fault for fault in found.faults if "position" not in fault] == []
    database.close()


async def test_the_notifier_keeps_them_apart(postgres: Postgres) -> None:
    database = Database(postgres.database("odd-notify"), "notify")
    manners = Throttle("warning", 0, 7 * 86_400_000, 86_400_000)
    output = NotifyMetrics(["webhook"], lambda: T0)
    consumer = NotifyHandler(
        RulesByPolicy(load(None), manners), manners, ["webhook"], ENFORCEMENT.topic, lambda: T0, output, summary_hour=9
    )
    await handled(database, consumer.handle, decisions())
    await database.run(consumer.tick)
    with database.reading() as connection:
        assert set(connection.execute(select(TENANTS.c.tenant_id)).scalars()) == set(TENANTS_SEEN)
        assert len(connection.execute(select(PENDING.c.id)).all()) == len(TENANTS_SEEN)
    database.close()
