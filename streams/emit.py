"""What a partition brought about, as the records of one transaction."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

import msgspec
import orjson

from monitor.notes import Note
from monitor.topics import INPUTS
from schemas import codec
from schemas.outputs import Enforcement
from streams.cluster import Out
from streams.names import Names

if TYPE_CHECKING:
    from monitor.partition import Taken

EVENT_HEADERS: Final = (("content-type", b"application/cloudevents+json"),)
"""Those of a decision."""


def records(names: Names, number: int, taken: "Taken", state: Sequence[tuple[str, bytes | None]]) -> list[Out]:
    """Decisions, alerts, late and rejected records, notes, and the state that goes with them, its head last."""
    sink = taken.sink
    outs: list[Out] = []
    outs += _events(names.output("enforcement"), number, sink.enforcement)
    outs += _events(names.output("shadow"), number, sink.shadow)
    outs += [Out(names.output("alerts"), number, a.tenant_id.encode(), codec.encode(a)) for a in sink.alerts]
    outs += [Out(names.output("late"), number, late.tenant_id.encode(), late.raw) for late in taken.late]
    for refused in taken.refused:
        _, source, offset, _ = refused.log
        headers = {"reason": refused.reason, "topic": names.inputs[source], "partition": number, "offset": offset}
        stamped = tuple((name, str(value).encode()) for name, value in headers.items())
        outs.append(Out(names.output("dead-letter"), number, refused.key, refused.raw, stamped))
    clock = names.output("clock")
    outs += [Out(clock, number, str(number).encode(), encode_note(source, note)) for source, note in taken.notes]
    outs += [Out(names.output("state"), number, key.encode(), value) for key, value in state]
    return outs


def _events(topic: str, number: int, events: Iterable[Enforcement]) -> list[Out]:
    return [Out(topic, number, e.subject.encode(), codec.encode(e), EVENT_HEADERS) for e in events]


def encode_note(source: int | None, note: Note) -> bytes:
    """A note as the clock log has it: its type, the source's bare name (null: of the partition), and its fields."""
    fields = msgspec.to_builtins(note)
    return orjson.dumps({"type": fields.pop("type"), "source": None if source is None else INPUTS[source], **fields})


def decode_note(value: bytes) -> tuple[int | None, Note]:
    """A note of the clock log with its source's number, None: of the partition. msgspec.ValidationError."""
    fields = msgspec.json.decode(value, type=dict)
    name = fields.pop("source")
    return None if name is None else INPUTS.index(name), msgspec.convert(fields, type=Note)
