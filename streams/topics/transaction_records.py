"""Encodes the output of a partition as the records of one transaction."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import msgspec
import orjson

from monitor.core.record_places import FormerLog
from monitor.core.record_ref import RecordRef
from monitor.decoding.input_topics import INPUTS
from monitor.partition.journal import JournalEntry
from monitor.text.masking import mask_id
from schemas import codec
from schemas.evidence import EvidencePlaces, RecordPlace
from schemas.outputs import Enforcement
from schemas.owners import OwnerBan
from schemas.review_signature import SIGNATURE_HEADER
from streams.kafka.api import PermanentError
from streams.kafka.outputs import OutputColumns, OutputRecord
from streams.kafka.topic_names import TopicNames

if TYPE_CHECKING:
    from monitor.partition.processing.task_output import TaskOutput

MAX_RECORD_BYTES: Final = 980_000
"""The most bytes of key, value and headers of a written record: fits uncompressed into a batch of a megabyte."""

MAX_COPY_BYTES: Final = 900_000
"""The most bytes kept of a late or rejected record that is written as it came; of its key at most `MAX_KEY_BYTES`."""

MAX_KEY_BYTES: Final = 65_536
MAX_REASON: Final = 4_096
_MAX_HEADERS_BYTES: Final = 20_000  # a reason of four bytes per character, and the other headers

Headers = dict[str, str | int]
_TICK: Final = b'{"type":"tick"'

EVENT_HEADERS: Final = (("content-type", b"application/cloudevents+json"),)
"""The headers of a decision."""


def records(
    names: TopicNames, number: int, taken: "TaskOutput", state: Sequence[tuple[str, bytes | None]]
) -> list[OutputRecord | OutputColumns]:
    """Measures, decisions and their evidence, alerts, bans of owners, late and rejected records, journal entries, and
    the state.

    The head of the state is last.
    """
    output = taken.output
    outs: list[OutputRecord] = []
    outs += _events(names.output("enforcement"), number, output.enforcement)
    outs += _events(names.output("shadow"), number, output.shadow)
    outs += evidence_records(names, number, taken)
    outs += [OutputRecord(names.output("alerts"), number, a.tenant_id.encode(), codec.encode(a)) for a in output.alerts]
    outs += [owner_ban_record(names, ban) for ban in output.owner_bans]
    for late in taken.late:
        out = OutputRecord(names.output("late"), number, late.tenant_id.encode(), late.raw)
        outs.append(_bounded(out, _place(names, number, late.ref)))
    for rejected in taken.rejected:
        headers: Headers = {"reason": rejected.reason[:MAX_REASON], **_place(names, number, rejected.ref)}
        if rejected.first_offset is not None:  # a whole batch
            headers["first_offset"] = rejected.first_offset
        out = OutputRecord(names.output("dead-letter"), number, rejected.key, rejected.raw, _stamped(headers))
        outs.append(_signed(_bounded(out, headers), rejected.signature))
    clock = names.output("clock")
    outs += [
        OutputRecord(clock, number, str(number).encode(), encode_journal_entry(source, entry))
        for source, entry in taken.journal
    ]
    outs += [OutputRecord(names.output("state"), number, key.encode(), value) for key, value in state]
    must_fit(outs)
    return [*measure_records(names, number, taken), *outs]


def measure_records(names: TopicNames, number: int, taken: "TaskOutput") -> list[OutputColumns]:
    """The records with the measures in an output."""
    topic = names.output("measures")
    outs = [OutputColumns(topic, number, hour.tenant_ids, hour.values) for hour in taken.output.measures]
    for columns in outs:
        if (columns.keys.sizes + columns.values.sizes).max(initial=0) > MAX_RECORD_BYTES:
            must_fit(columns)
    return outs


def evidence_records(names: TopicNames, number: int, taken: "TaskOutput") -> list[OutputRecord]:
    """The records with the evidence of the decisions in an output."""
    topic = names.output("evidence")
    return [
        OutputRecord(topic, number, event.subject.encode(), codec.encode(evidence))
        for event, evidence in evidence_of(names, number, taken)
    ]


def evidence_of(names: TopicNames, number: int, taken: "TaskOutput") -> Iterator[tuple[Enforcement, EvidencePlaces]]:
    """The decisions in an output that name records with known places, each with these places."""
    for event in (*taken.output.enforcement, *taken.output.shadow):
        places = taken.output.places.get(event.id, ())
        known = [found for place in places if (found := taken.logs.find(place)) is not None]
        if known:
            yield event, EvidencePlaces(event.id, tuple(_record_place(names, number, *at) for at in known))


def _record_place(names: TopicNames, number: int, log: int | FormerLog, offset: int) -> RecordPlace:
    if isinstance(log, FormerLog):
        return RecordPlace(log.topic, log.partition, offset)
    return RecordPlace(names.inputs[log], number, offset)


def owner_ban_record(names: TopicNames, ban: OwnerBan) -> OutputRecord:
    """The record of a ban of an owner, or of its lifting."""
    return OutputRecord(*names.owners, ban.enforcement_id.encode(), codec.encode(ban))


def must_fit(outs: Iterable[OutputRecord]) -> None:
    """Raise PermanentError for a record that is too large for a broker, before any is sent."""
    for out in outs:
        _, _, key, value, headers = out
        size = _size(out) if headers else len(key or b"") + len(value or b"")
        if size > MAX_RECORD_BYTES:
            of = mask_id((key or b"").decode(errors="backslashreplace")[:128])
            raise PermanentError(
                f"a record for {out.topic}-{out.partition} under the key {of!r} has {size:,} bytes; expected at most "
                f"{MAX_RECORD_BYTES:,}, for a broker takes no more than a megabyte"
            )


def _size(out: OutputRecord) -> int:
    return len(out.key or b"") + len(out.value or b"") + sum(len(name) + len(value) for name, value in out.headers)


def _place(names: TopicNames, number: int, ref: RecordRef) -> Headers:
    return {"topic": names.inputs[ref.source], "partition": number, "offset": ref.offset}


def _stamped(headers: Headers) -> tuple[tuple[str, bytes], ...]:
    return tuple((name, str(value).encode()) for name, value in headers.items())


def _bounded(out: OutputRecord, headers: Headers) -> OutputRecord:
    """The record as it came; if it is too large, its truncated key and value, and headers that say so.

    It may have fitted into its topic with its sender's compression, and fit into none with ours.
    """
    if _size(out) <= MAX_COPY_BYTES:
        return out
    key, value = out.key, out.value or b""
    headers = {**headers, "length": len(value), "sha256": hashlib.sha256(value).hexdigest()}
    if key is not None and len(key) > MAX_KEY_BYTES:
        headers |= {"key_length": len(key), "key_sha256": hashlib.sha256(key).hexdigest()}
        key = key[:MAX_KEY_BYTES]
    head = value[: MAX_COPY_BYTES - len(key or b"") - _MAX_HEADERS_BYTES]
    return OutputRecord(out.topic, out.partition, key, head, _stamped(headers))


def _signed(out: OutputRecord, signature: bytes | None) -> OutputRecord:
    """The record with the header that signed it, if there was one: without it, a retry would be refused."""
    return out if signature is None else out._replace(headers=(*out.headers, (SIGNATURE_HEADER, signature)))


def _events(topic: str, number: int, events: Iterable[Enforcement]) -> list[OutputRecord]:
    return [OutputRecord(topic, number, e.subject.encode(), codec.encode(e), EVENT_HEADERS) for e in events]


def encode_journal_entry(source: int | None, entry: JournalEntry) -> bytes:
    """A journal entry as stored: its type, the source's bare name (null: the partition), and its fields."""
    fields = msgspec.to_builtins(entry)
    return orjson.dumps({"type": fields.pop("type"), "source": None if source is None else INPUTS[source], **fields})


NOT_AN_ENTRY: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError, KeyError, TypeError)
"""What `decode_journal_entry` raises if the bytes are not a journal entry."""


class DecisionDelays(msgspec.Struct, frozen=True):
    """The delays by which a worker decides. ``lateness_ms`` is the longest of its partitions.

    Decisions of the partitions ``no_calls`` wait for the outage grace. Those of the partitions ``held`` wait for
    something else, and it is not known until when.
    """

    lateness_ms: int
    idle_after_ms: int
    outage_grace_ms: int
    no_calls: tuple[int, ...] = ()
    held: tuple[int, ...] = ()


class ClockTick(msgspec.Struct, tag="tick"):
    """A record of the clock log besides journal entries: the host's time of writing, and what partitions wait for."""

    host_ms: int
    waits: dict[int, list[str]] = {}
    source: None = None  # as in an entry of the whole partition
    delays: DecisionDelays | None = None  # earlier releases write none


def encode_tick(host_ms: int, waits: Mapping[int, list[str]], delays: DecisionDelays | None = None) -> bytes:
    """See `ClockTick`."""
    return msgspec.json.encode(ClockTick(host_ms, dict(waits), delays=delays))


def decode_tick(value: bytes) -> ClockTick:
    """The tick of a record for which `is_tick` holds. Raises msgspec.DecodeError."""
    return msgspec.json.decode(value, type=ClockTick)


def is_tick(value: bytes | None) -> bool:
    """Whether a record of the clock log is a tick, not a journal entry."""
    return value is not None and value.startswith(_TICK)


def no_journal_entry(value: bytes | None) -> str | None:
    """Why no release wrote this record of the clock log; None if it may be an entry, perhaps of a newer release.

    In every release an entry is a JSON object with a type and a source.
    """
    if not value:
        return "it has no value; expected a journal entry"
    try:
        fields = msgspec.json.decode(value)
    except NOT_AN_ENTRY as error:
        return f"expected a journal entry as JSON: {error}"
    if not isinstance(fields, dict) or not isinstance(fields.get("type"), str) or "source" not in fields:
        return "expected a JSON object with the type and the source of a journal entry"
    return None


def decode_journal_entry(value: bytes) -> tuple[int | None, JournalEntry]:
    """An entry of the clock log with its source's number (None: the partition). Raises one of `NOT_AN_ENTRY`."""
    fields = msgspec.json.decode(value, type=dict)
    name = fields.pop("source")
    return None if name is None else INPUTS.index(name), msgspec.convert(fields, type=JournalEntry)
