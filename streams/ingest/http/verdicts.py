"""Checks the records of a request: each is accepted, or rejected with a reason."""

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
    rejection_of,
)
from streams.ingest.http.formats import ReceivedEvent, ReceivedRecord
from streams.ingest.http.letters import LetterLimits
from streams.ingest.http.tokens import Grant
from streams.ingest.placement import TopicPlacement
from streams.kafka.outputs import OutputRecord

_AT_ONCE: Final = 250  # records, before the event loop gets a turn


@dataclass(frozen=True, slots=True)
class CheckedRequest:
    """What is written for a request, and its answer. ``unkept``: rejected records that do not become dead letters.

    ``newest_ms`` is the largest event time of the accepted records (None if there is none), which go to ``partitions``.
    """

    records: Sequence[OutputRecord]
    answer: IngestAnswer
    unkept: int
    newest_ms: int | None = None
    partitions: frozenset[int] = frozenset()


async def check(
    received: Sequence[ReceivedRecord], grant: Grant, placement: TopicPlacement, letters: LetterLimits
) -> CheckedRequest:
    """Check each record on its own; one that is rejected changes nothing for the others.

    If there are events, `TopicPlacement.takes_events` must be true.
    """
    outs, rejections, unkept = [], [], 0
    newest_ms, partitions = None, set()
    for index, one in enumerate(received):
        if index % _AT_ONCE == _AT_ONCE - 1:
            await asyncio.sleep(0)
        outcome = _outcome(one, grant)
        if isinstance(outcome, ReceivedEvent):
            outs.append(placement.event(outcome.source, outcome.event, one.raw))
            continue
        if not isinstance(outcome, str):
            outs.append(placed := placement.record(outcome, one.raw))
            partitions.add(placed.partition)
            newest_ms = max(newest_ms or 0, codec.event_time(outcome))
            continue
        rejections.append(rejection := rejection_of(index, outcome))
        raw = one.raw if one.original is None else one.original
        if rejection.code in EXCLUSIONS:
            continue  # the mapping leaves the row out on purpose
        if letters.take(grant.name):
            outs.append(dead_letter(placement, grant.name, raw, outcome, (("ingest", grant.name.encode()),)))
        else:
            unkept += 1
    return CheckedRequest(outs, answer_of(len(received), rejections), unkept, newest_ms, frozenset(partitions))


def _outcome(one: ReceivedRecord, grant: Grant) -> Record | ReceivedEvent | str:
    """The record or the event, or why it is rejected."""
    if one.reason is not None:
        return one.reason
    if reason := size_fault(one.raw):
        return reason
    if one.event is not None:
        return _forbidden_event(one.event, grant) or one.event
    try:
        record = codec.read(one.raw)
    except codec.InvalidRecordError as error:
        return str(error)
    tag = str(record.__struct_config__.tag)
    if one.event_type is not None and one.event_type != tag:
        return f"{NOT_AN_EVENT}: the event's type is for a {one.event_type}, and its data is a {tag}"
    if grant.types is not None and tag not in grant.types:
        return _forbidden_type(tag)
    if grant.tenants is not None and record.tenant_id not in grant.tenants:
        return _forbidden_tenant(record.tenant_id)
    return record


def _forbidden_event(received: ReceivedEvent, grant: Grant) -> str | None:
    """Why the token may not write the event.

    An event without a tenant joins whichever call has its ids: a token of some tenants could end the calls of others.
    """
    if grant.types is not None and received.record not in grant.types:
        return _forbidden_type(received.record)
    if grant.tenants is None or received.tenant_id in grant.tenants:
        return None
    if not received.tenant_id:
        return (
            f"{FORBIDDEN_TENANT}: the token may write for some tenants only, and the event names none; expected "
            "a token for all tenants, or a source with `set: {tenant_id: ...}`"
        )
    return _forbidden_tenant(received.tenant_id)


def _forbidden_type(tag: str) -> str:
    return f"{FORBIDDEN_TYPE}: the token may not write records of type {tag}"


def _forbidden_tenant(tenant_id: str) -> str:
    return f"{FORBIDDEN_TENANT}: the token may not write records of tenant {tenant_id!r}"
