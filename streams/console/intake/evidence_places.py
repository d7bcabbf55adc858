"""Stores the places of the records that decisions name."""

import msgspec
from sqlalchemy import Connection

from schemas import codec
from schemas.evidence import EvidencePlaces
from streams.console.evidence.records import MOST_PLACES
from streams.console.evidence.tables import EVIDENCE, WANTED
from streams.console.intake.places import check_lengths
from streams.consumers.follower import FollowedRecord
from streams.consumers.record_decoding import UndecodableRecord
from streams.consumers.sql_common import insert_new

_PLACES = msgspec.json.Decoder(EvidencePlaces).decode


def store_places(connection: Connection, record: FollowedRecord) -> None:
    """Store the places of a decision's records, to be fetched. Raises UndecodableRecord."""
    try:
        evidence = _PLACES(record.value or b"")
        tenant_id = (record.key or b"").decode()
    except codec.DECODE_ERRORS as error:
        raise UndecodableRecord(f"expected the evidence of a decision: {error}") from None
    check_lengths(enforcement_id=evidence.enforcement_id, tenant_id=tenant_id)
    if len(evidence.places) > MOST_PLACES or any(len(place.topic) > 249 for place in evidence.places):
        raise UndecodableRecord(f"expected at most {MOST_PLACES} places, in topics with names of at most 249 letters")
    rows = [
        {
            "enforcement_id": evidence.enforcement_id,
            "number": number,
            "tenant_id": tenant_id,
            "topic": place.topic,
            "partition": place.partition,
            "offset": place.offset,
            "state": WANTED,
            "added_ms": record.timestamp_ms,
        }
        for number, place in enumerate(evidence.places)
    ]
    if rows:
        connection.execute(insert_new(connection, EVIDENCE), rows)
