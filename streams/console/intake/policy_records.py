"""Stores what the workers recorded of policies: changes, withdrawals, refused commands."""

from sqlalchemy import Connection, select, update

from monitor.partition.journal import PolicyChange, PolicyWithdrawal, RefusedCommand
from monitor.text.masking import mask_text
from streams.console.policies import texts
from streams.console.policies.tables import POLICY_CHANGES, POLICY_REFUSALS
from streams.consumers.follower import FollowedRecord
from streams.consumers.record_decoding import UndecodableRecord
from streams.consumers.sql_common import insert_new
from streams.topics.transaction_records import NOT_AN_ENTRY, decode_journal_entry, is_tick

_TAGS = (b'"type":"policy"', b'"type":"withdraw"', b'"type":"refused"')  # a few of thousands; no other is decoded


def store_entry(connection: Connection, record: FollowedRecord) -> None:
    """Store an entry of a clock log if it is about a policy or a command. Raises UndecodableRecord."""
    value = record.value or b""
    if is_tick(value) or not any(tag in value for tag in _TAGS):
        return
    try:
        _, entry = decode_journal_entry(value)
    except NOT_AN_ENTRY as error:
        raise UndecodableRecord(f"expected a journal entry of this release: {error}") from None
    match entry:
        case PolicyChange():
            _store_change(connection, record, entry)
        case PolicyWithdrawal():
            c = POLICY_CHANGES.c
            changed = update(POLICY_CHANGES).where(
                c.partition == record.tp.partition, c.from_ms == entry.from_ms, c.withdrawn_offset.is_(None)
            )
            values = {"withdrawn_offset": record.offset, "withdrawn_ms": entry.at_ms}
            texts_of = {"withdrawn_reason": mask_text(entry.reason), "withdrawn_by": mask_text(entry.by)}
            connection.execute(changed.values(values | texts_of))
        case RefusedCommand():
            row = {
                "partition": record.tp.partition,
                "offset": record.offset,
                "given_by": mask_text(entry.by),
                "at_ms": entry.at_ms,
                "why": mask_text(entry.why),
            }
            connection.execute(insert_new(connection, POLICY_REFUSALS).values(row))


def store_command(connection: Connection, record: FollowedRecord) -> None:
    """Nothing: commands are followed since the outbox finds its own among them."""


def _store_change(connection: Connection, record: FollowedRecord, entry: PolicyChange) -> None:
    c, number = POLICY_CHANGES.c, record.tp.partition
    stands = select(c.offset).where(c.partition == number, c.from_ms == entry.from_ms, c.withdrawn_offset.is_(None))
    if connection.execute(stands).first() is not None:  # recorded twice: the state was rebuilt
        return
    texts.remember(connection, entry.policy, entry.sha256, record.timestamp_ms)
    row = {
        "partition": number,
        "offset": record.offset,
        "from_ms": entry.from_ms,
        "sha256": entry.sha256,
        "reason": mask_text(entry.reason),
        "given_by": mask_text(entry.by),
        "at_ms": entry.at_ms,
    }
    connection.execute(insert_new(connection, POLICY_CHANGES).values(row))
