"""The journal: what people did to the ledger itself, chained like the records of a topic.

Claims and accepted gaps have tables of their own with the current state; each change to those appends an action
here, in the same transaction. `callwarden ledger verify` compares the two.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, insert, select, text

from streams.consumers.ledger.entries import EntryFields
from streams.consumers.ledger.hash_chain import link
from streams.consumers.ledger.published_heads import head_of
from streams.consumers.ledger.tables import CLAIMS, ENTRIES, JOURNAL, LOSSES

_AT_ONCE = 1_000


class ClaimMade(msgspec.Struct, frozen=True, tag_field="action", tag="claimed", omit_defaults=True):
    """A verdict was recorded before it is sent, or replaced one that had no effect."""

    enforcement_id: str
    tenant_id: str
    review_id: str
    verdict: str
    reviewer: str
    reason: str
    claimed_ms: int
    value: bytes
    signature: bytes | None = None


class ClaimSent(msgspec.Struct, frozen=True, tag_field="action", tag="sent"):
    """The claim with that ``claimed_ms`` was sent."""

    enforcement_id: str
    claimed_ms: int
    sent_ms: int


class ClaimWithdrawn(msgspec.Struct, frozen=True, tag_field="action", tag="withdrawn"):
    """The claim with that ``claimed_ms`` is no longer valid."""

    enforcement_id: str
    claimed_ms: int
    why: str


class GapAccepted(msgspec.Struct, frozen=True, tag_field="action", tag="gap_accepted"):
    """Records were skipped that had been deleted before the ledger recorded them."""

    topic: str
    partition: int
    first: int
    stop: int
    at_ms: int
    accepted_by: str
    reason: str


Action = ClaimMade | ClaimSent | ClaimWithdrawn | GapAccepted

_ACTIONS: Final[msgspec.json.Decoder[Action]] = msgspec.json.Decoder(Action)


def lock(connection: Connection) -> None:
    """Hold the journal's write lock until the transaction ends.

    Taken before any claims row is changed, so that two transactions never deadlock. SQLite allows one writer at a
    time anyway.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('callwarden-ledger-journal'))"))


def append(connection: Connection, actions: Sequence[Action], at_ms: int) -> None:
    """Append actions in the transaction that performs them."""
    lock(connection)
    head = head_of(connection, JOURNAL)
    rows = []
    for action in actions:
        value = msgspec.json.encode(action)
        number, offset = head.number + 1, head.offset + 1
        head = head._replace(number=number, offset=offset, hash=link(head.hash, offset, at_ms, None, value))
        place = {**JOURNAL._asdict(), "number": number, "offset": offset, "timestamp_ms": at_ms}
        rows.append({**place, "key": None, "value": value, "hash": head.hash.hex(), **EntryFields()._asdict()})
    if rows:
        connection.execute(insert(ENTRIES), rows)


def action_of(value: bytes | None) -> Action:
    """The action in an entry's value. Raises msgspec.DecodeError."""
    return _ACTIONS.decode(value or b"")


def fields_of_action(value: bytes | None) -> EntryFields:
    """Empty fields: actions are not indexed. With a fault if the value cannot be parsed."""
    try:
        action_of(value)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return EntryFields(fault=f"expected an action of this release: {error}")
    return EntryFields()


def differences(connection: Connection) -> Iterator[str]:
    """How the tables of claims and accepted gaps differ from what the journal records."""
    claims, gaps = _replayed(connection)
    yield from _compared(connection, "ledger_claim", claims)
    yield from _compared(connection, "ledger_loss", gaps)


def _replayed(connection: Connection) -> tuple[dict[Any, dict[str, Any]], dict[Any, dict[str, Any]]]:
    """Both tables as replayed from the journal, by primary key."""
    claims: dict[Any, dict[str, Any]] = {}
    gaps: dict[Any, dict[str, Any]] = {}
    values = (
        select(ENTRIES.c.value)
        .where(ENTRIES.c.topic == JOURNAL.topic, ENTRIES.c.partition == JOURNAL.partition, ENTRIES.c.fault.is_(None))
        .order_by(ENTRIES.c.number)
    )
    for value in connection.execution_options(yield_per=_AT_ONCE).execute(values).scalars():
        try:
            action = action_of(value.encode() if isinstance(value, str) else value)
        except (msgspec.DecodeError, UnicodeDecodeError, AttributeError):
            continue  # chain verification reports it
        match action:
            case ClaimMade():
                row = msgspec.structs.asdict(action)
                claims[action.enforcement_id,] = {**row, "sent_ms": None, "withdrawn": None}
            case ClaimSent():
                _change(claims, action, "sent_ms", action.sent_ms)
            case ClaimWithdrawn():
                _change(claims, action, "withdrawn", action.why)
            case GapAccepted():
                gaps[action.topic, action.partition, action.first] = msgspec.structs.asdict(action)
    return claims, gaps


def _change(claims: dict[Any, dict[str, Any]], action: ClaimSent | ClaimWithdrawn, column: str, value: object) -> None:
    claim = claims.get((action.enforcement_id,))
    if claim is not None and claim["claimed_ms"] == action.claimed_ms:
        claim[column] = value


def _compared(connection: Connection, name: str, expected: dict[Any, dict[str, Any]]) -> Iterator[str]:
    table = {"ledger_claim": CLAIMS, "ledger_loss": LOSSES}[name]
    keys = [column.name for column in table.primary_key]
    ordered = select(table).order_by(*table.primary_key)
    for found in connection.execution_options(yield_per=_AT_ONCE).execute(ordered).mappings():
        key = tuple(found[each] for each in keys)
        where = f"{name} {' '.join(map(str, key))}"
        wanted = expected.pop(key, None)
        if wanted is None:
            yield f"{where}: the journal does not record it: it was added, or its entries in the journal were removed"
        elif wrong := [each for each in wanted if found[each] != wanted[each]]:
            yield f"{where}: {', '.join(wrong)} differ from what the journal records: the row was changed"
    for key in sorted(expected):
        yield f"{name} {' '.join(map(str, key))}: the journal records it, but it is missing: the row was deleted"
