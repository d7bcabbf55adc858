"""Stores what people did, for the log of actions."""

from sqlalchemy import Connection

from streams.console.tables import ACTIONS
from streams.consumers.follower import FollowedRecord
from streams.consumers.record_decoding import action_of
from streams.consumers.sql_common import insert_new


def store_action(connection: Connection, record: FollowedRecord) -> None:
    """Store an action. Raises UndecodableRecord."""
    action = action_of(record.value)
    row = {
        "id": action.action_id,
        "action": action.action,
        "actor": action.actor,
        "subject": action.subject,
        "tenant_id": action.tenant_id,
        "enforcement_id": action.enforcement_id,
        "at_ms": action.at_ms,
        "value": record.value,
    }
    connection.execute(insert_new(connection, ACTIONS).values(row))
