"""Stores the measures of each tenant and hour, many at once, for 35 days."""

import zlib
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, delete, func, select

from monitor.text.masking import mask_text
from schemas import codec
from schemas.measures import TenantHour
from streams.console.intake.places import check_lengths
from streams.console.tables import MEASURES
from streams.consumers.follower import FollowedRecord
from streams.consumers.record_decoding import UndecodableRecord
from streams.consumers.sql_common import insert_new

KEPT_MS: Final = 35 * 86_400_000
_HOURS_AT_ONCE: Final = 4  # hours forgotten with a batch
_MOST_BYTES: Final = 1_000_000
_MEASURES: Final = msgspec.json.Decoder(TenantHour).decode


def store_measures(connection: Connection, record: FollowedRecord) -> None:
    """Store the measures of one tenant and hour. Raises UndecodableRecord."""
    connection.execute(insert_new(connection, MEASURES), [_row(record)])


def store_all(connection: Connection, records: Sequence[FollowedRecord]) -> list[tuple[FollowedRecord, str]]:
    """Store the measures of a batch, and forget old ones. Returns the records that cannot be read, each with why."""
    rows: list[dict[str, Any]] = []
    rejected = []
    for record in records:
        try:
            rows.append(_row(record))
        except UndecodableRecord as error:
            rejected.append((record, mask_text(str(error))))
    if rows:
        connection.execute(insert_new(connection, MEASURES), rows)
        _forget(connection, max(row["hour_ms"] for row in rows) - KEPT_MS)
    return rejected


def _row(record: FollowedRecord) -> dict[str, Any]:
    value = record.value or b""
    try:
        if len(value) > _MOST_BYTES:
            raise UndecodableRecord("expected measures of at most a megabyte")
        measures = _MEASURES(value)
    except codec.DECODE_ERRORS as error:
        raise UndecodableRecord(f"expected the measures of an hour: {error}") from None
    check_lengths(tenant_id=measures.tenant_id)
    return {"tenant_id": measures.tenant_id, "hour_ms": measures.hour_ms, "value": zlib.compress(value, 3)}


def _forget(connection: Connection, before_ms: int) -> None:
    """Delete the oldest hours before ``before_ms``, a few at once."""
    hour = MEASURES.c.hour_ms
    for _ in range(_HOURS_AT_ONCE):
        oldest_ms = connection.execute(select(func.min(hour))).scalar()
        if oldest_ms is None or oldest_ms >= before_ms:
            return
        connection.execute(delete(MEASURES).where(hour == oldest_ms))
