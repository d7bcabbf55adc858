"""Runs the ledger and billing consumers on a replay's decisions, without Kafka."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection

from schemas.outputs import Enforcement
from streams.consumers.billing import tables as billing
from streams.consumers.billing.api_models import answer_of
from streams.consumers.billing.handler import Handler
from streams.consumers.billing.holds import holds_of
from streams.consumers.database import Database
from streams.consumers.follower import FollowedRecord, Handle
from streams.consumers.ledger import tables as ledger
from streams.consumers.ledger.verify.chains import Verified, verify
from streams.consumers.ledger.writer import LedgerWriter
from streams.consumers.offsets import Offsets
from streams.kafka.api import TP
from streams.kafka.topic_names import TopicNames

T = TypeVar("T")

_NAMES = TopicNames()
_LOG = TP(_NAMES.output("enforcement"), 0)


async def ledger_of(events: Sequence[Enforcement], file: Path) -> Verified:
    """Write these events to a new ledger in the SQLite file ``file`` and verify its chains."""
    return await _filled(events, file, "ledger", ledger.POSITIONS, LedgerWriter().keep, lambda db: verify(db, {}))


async def refunds_of(events: Sequence[Enforcement], file: Path, tenant_id: str) -> dict[str, Any]:
    """Billing's answer about a tenant after it has handled these events; ``file`` is its new database."""

    def ask(connection: Connection) -> dict[str, Any]:
        return answer_of(holds_of(connection, [tenant_id])[tenant_id])

    return await _filled(events, file, "billing", billing.POSITIONS, Handler(), ask)


async def _filled(
    events: Sequence[Enforcement],
    file: Path,
    name: str,
    positions: Offsets,
    handle: Handle,
    look: Callable[[Connection], T],
) -> T:
    for stored in (file, *(file.with_name(f"{file.name}-{more}") for more in ("wal", "shm"))):
        stored.unlink(missing_ok=True)
    records = [
        FollowedRecord(_LOG, offset, event.data.decided_ms, event.subject.encode(), msgspec.json.encode(event))
        for offset, event in enumerate(events)
    ]

    def take(connection: Connection) -> None:
        positions.begin(connection, {_LOG: 0}, None)
        positions.move(connection, _LOG, 0, len(records))
        if records and (committed := handle(connection, records)):
            committed()

    database = Database(f"sqlite:///{file}", name)
    try:
        await database.migrate()
        await database.run(take)
        with database.reading() as connection:
            return look(connection)
    finally:
        database.close()
