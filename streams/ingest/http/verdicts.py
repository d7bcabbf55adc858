"""Checks the records of a request: each is accepted, or refused with a reason."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from monitor.adapters.errors import EXCLUSIONS
from schemas import codec
from schemas.inputs import Record
from streams.ingest.foreign_rows import dead_letter, size_fault
from streams.ingest.http.answer import (
    FORBIDDEN_TENANT,
    FORBIDDEN_TYPE,
    NOT_AN_EVENT,
    IngestAnswer,
    answer_of,
    refusal_of,
)
from streams.ingest.http.formats import ReceivedRecord
from streams.ingest.http.letters import LetterLimits
from streams.ingest.http.tokens import Grant
from streams.ingest.placement import TopicPlacement
from streams.kafka.api import OutputRecord

_AT_ONCE: Final = 250  # records, before the event loop gets a turn


@dataclass(frozen=True, slots=True)
class CheckedRequest:
    """What is written for a request, and its answer. ``unkept``: refused records that do not become dead letters."""

    records: Sequence[OutputRecord]
    answer: IngestAnswer
    unkept: int


async def check(
    received: Sequence[ReceivedRecord], grant: Grant, placement: TopicPlacement, letters: LetterLimits
) -> CheckedRequest:
    """Check each record on its own; one that is refused changes nothing for the others."""
    outs, refusals, unkept = [], [], 0
    for index, one in enumerate(received):
        if index % _AT_ONCE == _AT_ONCE - 1:
            await asyncio.sleep(0)
        outcome = _outcome(one, grant)
        if not isinstance(outcome, str):
            outs.append(placement.record(outcome, one.raw))
            continue
        refusals.append(refusal := refusal_of(index, outcome))
        raw = one.raw if one.original is None else one.original
        if refusal.code in EXCLUSIONS:
            continue  # the mapping leaves the row out on purpose
        if letters.take(grant.name):
            outs.append(dead_letter(placement, grant.name, raw, outcome, (("ingest", grant.name.encode()),)))
        else:
            unkept += 1
    return CheckedRequest(outs, answer_of(len(received), refusals), unkept)


def _outcome(one: ReceivedRecord, grant: Grant) -> Record | str:
    """The record, or why it is refused."""
    if one.reason is not None:
        return one.reason
    if reason := size_fault(one.raw):
        return reason
    try:
        record = codec.read(one.raw)
    except codec.InvalidRecordError as error:
        return str(error)
    tag = str(record.__struct_config__.tag)
    if one.event_type is not None and one.event_type != tag:
        return f"{NOT_AN_EVENT}: the event's type is for a {one.event_type}, and its data is a {tag}"
    if grant.types is not None and tag not in grant.types:
        return f"{FORBIDDEN_TYPE}: the token may not write records of type {tag}"
    if grant.tenants is not None and record.tenant_id not in grant.tenants:
        return f"{FORBIDDEN_TENANT}: the token may not write records of tenant {record.tenant_id!r}"
    return record
