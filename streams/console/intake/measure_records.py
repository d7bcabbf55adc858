"""Stores the measures of each tenant and hour, many at once, for 35 days."""

from collections.abc import Sequence
from typing import Final

import msgspec
from sqlalchemy import Connection, delete, select, tuple_

from monitor.text.masking import mask_text
from schemas import codec
from schemas.measures import TenantHour
from streams.console import measure_values
from streams.console.intake.places import check_lengths
from streams.console.tables import MEASURES
from streams.consumers.follower import FollowedRecord
from streams.consumers.record_decoding import UndecodableRecord
from streams.consumers.sql_common import insert_new

KEPT_MS: Final = 35 * 86_400_000
_LEAST_FORGOTTEN: Final = 1_000  # old rows deleted with a batch, or twice as many as it has
_MOST_BYTES: Final = 1_000_000
_MEASURES: Final = msgspec.json.Decoder(TenantHour).decode


def store_measures(connection: Connection, record: FollowedRecord) -> None:
    """Store the measures of one tenant and hour. Raises UndecodableRecord."""
    _store(connection, [(_checked(record), record.value or b"")])


def store_all(connection: Connection, records: Sequence[FollowedRecord]) -> list[tuple[FollowedRecord, str]]:
    """Store the measures of a batch, and forget old ones. Returns the records that cannot be read, each with why."""
    measured, rejected = [], []
    for record in records:
        try:
            measured.append((_checked(record), record.value or b""))
        except UndecodableRecord as error:
            rejected.append((record, mask_text(str(error))))
    if measured:
        _store(connection, measured)
        newest_ms = max(one.hour_ms for one, _ in measured)
        _forget(connection, newest_ms - KEPT_MS, max(2 * len(measured), _LEAST_FORGOTTEN))
    return rejected


def _checked(record: FollowedRecord) -> TenantHour:
    value = record.value or b""
    try:
        if len(value) > _MOST_BYTES:
            raise UndecodableRecord("expected measures of at most a megabyte")
        measures = _MEASURES(value)
    except codec.DECODE_ERRORS as error:
        raise UndecodableRecord(f"expected the measures of an hour: {error}") from None
    check_lengths(tenant_id=measures.tenant_id)
    return measures


def _store(connection: Connection, measured: Sequence[tuple[TenantHour, bytes]]) -> None:
    """Store measures, each with its record. The first of a tenant and hour stays."""
    number, values = measure_values.compress(connection, [value for _, value in measured])
    rows = [
        {"tenant_id": one.tenant_id, "hour_ms": one.hour_ms, "dictionary": number, "value": value}
        for (one, _), value in zip(measured, values, strict=True)
    ]
    connection.execute(insert_new(connection, MEASURES), rows)


def _forget(connection: Connection, before_ms: int, most: int) -> None:
    """Delete the oldest rows of hours before ``before_ms``, at most ``most``: all at once would block all others."""
    m = MEASURES.c
    old = select(m.tenant_id, m.hour_ms).where(m.hour_ms < before_ms).order_by(m.hour_ms).limit(most)
    connection.execute(delete(MEASURES).where(tuple_(m.tenant_id, m.hour_ms).in_(old)))
