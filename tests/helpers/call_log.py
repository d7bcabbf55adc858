"""Events of calls in `callwarden.raw`, and what they give, by brute force: the pure function over the log."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import orjson

from monitor.adapters.assembled import AssembledAdapter
from monitor.adapters.assembly.assembler import Assembler, AssemblyLimits
from monitor.adapters.assembly.call_program import AssembledCall
from monitor.adapters.assembly.version_assembler import VersionAssembler
from monitor.adapters.errors import EXCLUSIONS, Reject
from monitor.text.timestamps import rfc3339
from schemas import codec
from streams.ingest.foreign_rows import EventAdapter
from streams.ingest.raw_events import TICK, feed_of


class RawRecord(NamedTuple):
    """A record of the log."""

    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None


class Given(NamedTuple):
    """What a log gives, in its order: records, the value and the reason of each dead letter, and late records."""

    records: list[bytes]
    letters: list[tuple[bytes, str]]
    late: list[bytes]


def telnyx_event(kind: str, at_ms: int, call: str, tenant: str, **payload: str) -> bytes:
    """The body of an event of Telnyx."""
    more = {"initiated": {"direction": "outgoing", "start_time": rfc3339(at_ms)},
            "hangup": {"end_time": rfc3339(at_ms), "hangup_cause": "normal_clearing"}}.get(kind, {})  # fmt: skip
    ends = {"call_leg_id": call, "connection_id": tenant, "from": "+15550001111", "to": "+15557654321"}
    data = {"event_type": f"call.{kind}", "occurred_at": rfc3339(at_ms), "payload": {**ends, **more, **payload}}
    return json.dumps({"data": data}).encode()


def tccc_record(end_ms: int, call: str, tenant: str, recording: str = "") -> bytes:
    """A record of TCCC; one with a recording is a greater version."""
    end_s = end_ms // 1000
    times = {"Time": end_s - 5, "StartTimestamp": end_s - 5, "EndedTimestamp": end_s}
    ends = {"Caller": "+861058000001", "Callee": "+8613800000000", "Direction": 1}
    ids = {"SessionId": call, "SdkAppId": tenant, "RecordId": recording}
    return json.dumps({**ids, **ends, **times, "EndStatus": 202, "CallType": 1}).encode()


def given_by(
    log: Iterable[RawRecord], adapters: Mapping[str, EventAdapter], limits: AssemblyLimits | None = None
) -> Given:
    """Read the log of one partition from its first record, in one go."""
    assemblers: dict[str, Any] = {}
    given = Given([], [], [])

    def opened(adapter: EventAdapter) -> Any:
        if isinstance(adapter, AssembledAdapter):
            return Assembler(adapter.program, limits)
        return VersionAssembler(adapter.versions.settle_ms, limits)

    def take(name: str, results: Iterable[AssembledCall], value: bytes = b"") -> None:
        adapter = adapters[name]
        columns = tuple(adapter.program.index) if isinstance(adapter, AssembledAdapter) else ()
        for each in results:
            if each.record is not None:
                given.records.append(codec.encode(each.record))
            elif each.late is not None:
                given.late.append(codec.encode(each.late))
            elif str(each.reason).partition(":")[0] not in EXCLUSIONS:
                cells = (
                    {name: text for name, text in zip(columns, each.cells, strict=True) if text} if each.cells else {}
                )
                given.letters.append((orjson.dumps(cells) if each.cells else value, str(each.reason)))

    for offset, timestamp_ms, key, value in log:
        if key is None and value == TICK:
            for name in sorted(assemblers):
                assemblers[name].tick(timestamp_ms)
                take(name, assemblers[name].end_due())
            continue
        assert key is not None
        assert value is not None
        name = feed_of(key) or ""
        if name not in assemblers:
            assemblers[name] = opened(adapters[name])
        assembler = assemblers[name]
        try:
            event = adapters[name].logged(value)
        except Reject as error:
            if str(error).partition(":")[0] not in EXCLUSIONS:
                given.letters.append((value, str(error)))
            continue
        take(name, assembler.accept(event, offset, timestamp_ms), value)
        take(name, assembler.end_due())
    return given
