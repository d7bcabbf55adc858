"""`version` and `settle` of a mapping, and the files and documents that it reads."""

import io
import json
import random
from typing import Any

import pytest
from adapter_rows import SMALL, START
from call_events import HOUR, MINUTE, SECOND, records
from platform_records import contact
from test_shipped_adapters import telcdr

from monitor.adapters.assembly.version_assembler import VersionAssembler
from monitor.adapters.base import InputRow
from monitor.adapters.errors import MappingError
from monitor.adapters.mapped import MappedAdapter
from monitor.adapters.mapping.read import read_mapping
from monitor.adapters.shipped import open_adapter
from monitor.adapters.surveying.survey import survey
from monitor.adapters.values.pseudonym import PUBLIC_KEY
from monitor.adapters.versioned import VersionedAdapter, of_versions
from monitor.text.timestamps import rfc3339
from schemas import codec
from schemas.inputs import Cdr

VERSIONED = SMALL.replace("record: cdr\n", "record: cdr\nversion: {column: n}\nsettle: 10m\n")


def adapter(text: str = VERSIONED) -> VersionedAdapter:
    mapping = read_mapping(text, "test.yaml", {"tenant_id": "acme"})
    assert mapping.versions is not None
    return VersionedAdapter(mapping, mapping.versions, PUBLIC_KEY)


def rows(content: str, text: str = VERSIONED) -> list[InputRow]:
    return list(adapter(text).rows(io.BytesIO(content.encode())))


def shipped(name: str, **settings: str) -> VersionedAdapter:
    found = open_adapter(name, settings)
    assert isinstance(found, VersionedAdapter)
    return found


def callees(found: list[InputRow]) -> list[str]:
    return [row.record.callee for row in found if isinstance(row.record, Cdr)]


# (the text in VERSIONED that is replaced, its replacement, line:column, part of the message)
FAULTS = [
    ("version: {column: n}\n", "", "3:1", "expected `version` beside `settle`: it is missing"),
    ("settle: 10m", "settle: soon", "4:9", "expected a duration such as"),
    ("settle: 10m", "settle: 25h", "4:9", "expected at most 24h, and less than the policy's lateness"),
    ("{column: n}", "n", "3:10", "write `{column: n}`"),
    ("{column: n}", "{column: n, time: soon}", "3:28", "no time format"),
    ("{column: n}", "{column: n, when: {field: caller, empty: true}}", "3:36", "no field `caller` is made here"),
    ("{column: n}", '{cases: [{column: n}, {const: "0", time: epoch_s}]}', "3:19", "a time needs `time`"),
    ("{column: n}", "{column: n, tabel: {a: b}}", "3:22", "did you mean `table`"),
    ("settle: 10m", "settle: 10m\nsort: false", "5:7", "expected `sort: true` with `settle`"),
    ("{column: id}", "{column: $row}", "6:21", "expected no `$row` with `settle`"),
    ("version:", "versions:", "3:1", "did you mean `version`"),
    ("record: cdr", "record: tenant", "3:10", "expected `record: cdr` with `version`"),
    ("settle: 10m", "settle: 10m\nevents: {}", "3:1", "`version` does not go with `events`"),
]


@pytest.mark.parametrize(("before", "after", "place", "message"), FAULTS)
def test_a_fault_has_its_place(before: str, after: str, place: str, message: str) -> None:
    assert before in VERSIONED
    with pytest.raises(MappingError) as raised:
        read_mapping(VERSIONED.replace(before, after, 1), "test.yaml")
    assert any(
        str(each).startswith(f"test.yaml:{place}: ") and message in each.message for each in raised.value.faults
    ), raised.value


def test_without_settle_a_version_changes_nothing() -> None:
    for text in (VERSIONED.replace("settle: 10m\n", ""), VERSIONED.replace("10m", "0s")):
        mapping = read_mapping(text, "test.yaml", {"tenant_id": "acme"})
        content = b"id,end,to,n\nc1,1700000000,a,1\nc1,1700000000,b,2\n"
        found = [row.record for row in MappedAdapter(mapping, PUBLIC_KEY).rows(io.BytesIO(content))]
        assert [record.callee for record in found if isinstance(record, Cdr)] == ["a", "b"]
    assert isinstance(open_adapter("amazon-connect"), MappedAdapter)
    assert isinstance(open_adapter("tccc"), MappedAdapter)


def test_a_mapping_that_holds_no_calls_any_more_reads_the_versions_that_it_logged() -> None:
    reader, after = shipped("amazon-connect", settle="10m"), of_versions(open_adapter("amazon-connect"))
    assert after is not None
    (row,) = reader.events(update("c-1", 60_000).encode())
    assert after.logged(row.value) == row.event
    assert after.versions.settle_ms == 0
    assert of_versions(reader) is reader
    assert of_versions(open_adapter("genesys")) is None
    assert of_versions(open_adapter("telnyx")) is None


def test_every_row_of_a_file_is_there_by_event_time_and_the_greatest_version_counts() -> None:
    found = rows(
        "id,end,to,n\nc1,1700000060,a,2\nc2,1700000000,b,\nc1,1700000060,c,10\nc1,1700000060,d,9\nc3,x,e,1\nc2,1700000000,f,0\n"
    )
    assert [(row.line, row.raw) for row in found] == [
        (6, b"c3,x,e,1"),
        (3, b"c2,1700000000,b,"),
        (7, b"c2,1700000000,f,0"),
        (2, b"c1,1700000060,a,2"),
        (4, b"c1,1700000060,c,10"),
        (5, b"c1,1700000060,d,9"),
    ]
    superseded = "superseded: another version of the call counts"
    assert [row.reason for row in found][1:] == [None, superseded, superseded, None, superseded]
    assert callees(found) == ["b", "c"]


def test_a_version_that_cannot_be_read_rejects_its_row_alone() -> None:
    found = rows("id,end,to,n\nc1,1700000000,a,1\nc1,1700000000,b,x\n")
    assert [row.reason for row in found] == [None, "wrong_type: version: expected a whole number, got 'x'"]
    timed = VERSIONED.replace("{column: n}", "{column: n, time: epoch_s}")
    found = rows(
        "id,end,to,n\nc1,1700000000,a,x\nc1,1700000000,b,7\nc1,1700000000,c,\nc1,1700000000,d,13800138000\n", timed
    )
    assert sorted(str(row.reason) for row in found) == [
        "None",
        "out_of_range: version: expected a time in the years 1990 to 2099, got 7000",
        "out_of_range: version: expected a time in the years 1990 to 2099, got ••••••••••••00",
        "unreadable_time: version: 'x' is no time of the form epoch_s",
    ]


def test_a_file_is_read_by_the_time_of_its_versions() -> None:
    timed = VERSIONED.replace("{column: n}", "{column: n, time: epoch_s}")
    late = "c1,1700000000,c,1700000700"
    lines = ["c1,1700000000,a,1700000050", "c1,1700000000,b,1700000649", late, "c2,1700000640,d,1700000640"]
    for seed in range(10):
        random.Random(seed).shuffle(lines)
        found = rows("\n".join(["id,end,to,n", *lines]), timed)
        assert callees(found) == ["b", "d"]
        (row,) = (row for row in found if (row.reason or "").startswith("superseded_late: "))
        assert row.raw.decode() == late


def logged(reader: VersionedAdapter, documents: list[str]) -> list[bytes]:
    """The records that the log of these documents gives, sorted."""
    assembler = VersionAssembler(reader.versions.settle_ms)
    found = []
    values = [row.value for document in documents for row in reader.events(document.encode()) if row.event is not None]
    for n, value in enumerate(values):
        found += assembler.feed(reader.logged(value), n)
    found += assembler.finish()
    return sorted(codec.encode(record) for record in records(found))


@pytest.mark.parametrize("seed", range(20))
def test_a_file_gives_the_records_of_the_log(seed: int) -> None:
    chance = random.Random(seed)
    updates = []
    for n in range(chance.randrange(1, 60)):
        end_ms = chance.randrange(40) * MINUTE
        call = f"c-{chance.randrange(12)}"
        update_ms = end_ms + chance.choice([SECOND, MINUTE, 15 * MINUTE, 5 * HOUR])
        updates.append((update_ms, update(call, update_ms, end_ms, f"v{n}")))
    updates.sort(key=lambda each: each[0])
    documents = [text for _, text in updates]
    reader = shipped("amazon-connect", settle="10m")
    found = list(reader.rows(io.BytesIO("\n".join(documents).encode())))
    assert len(found) == len(documents)
    assert sorted(codec.encode(row.record) for row in found if row.record is not None) == logged(reader, documents)
    ends_ms = [row.record.end_ms for row in found if isinstance(row.record, Cdr)]
    assert ends_ms == sorted(ends_ms)


def update(call: str, update_ms: int, end_ms: int = 13_000, agent: str = "ag1", **changes: Any) -> str:
    """A contact of Connect that was updated at this time after `START`."""
    times = {"LastUpdateTimestamp": rfc3339(START + update_ms)}
    times |= {name: rfc3339(START) for name in ("InitiationTimestamp", "ConnectedToSystemTimestamp")}
    times["DisconnectTimestamp"] = rfc3339(START + end_ms)
    return contact(ContactId=call, Agent={"Username": agent}, **(times | changes))


def test_a_contact_of_connect_takes_what_its_updates_bring() -> None:
    reader = shipped("amazon-connect", settle="10m")
    assert reader.versions.settle_ms == 10 * MINUTE
    first = update("c-1", 60_000, Attributes={})
    consent = update("c-1", 120_000, Attributes={"consent": "c-77"})
    months_later = update("c-1", 90 * 24 * HOUR, Attributes={"consent": "c-99"})
    open_contact = update("c-1", 1_000, DisconnectTimestamp=None)
    transfer = update("c-2", 61_000, InitiationMethod="TRANSFER")
    found = list(reader.rows(io.BytesIO("".join([months_later, consent, open_contact, transfer, first]).encode())))
    (row,) = (row for row in found if row.record is not None)
    assert codec.encode(row.record) == codec.encode(
        Cdr(
            call_id="c-1",
            tenant_id="111122223333",
            direction="outbound",
            caller="+15550001111",
            callee="+15557654321",
            start_ms=START,
            answer_ms=START,
            end_ms=START + 13_000,
            outcome="answered",
            hangup_by="callee",
            answered_by="human",
            agent_id="ag1",
            campaign_id="camp-9",
            consent_id="c-77",
            source="amazon-connect",
        )
    )
    reasons = sorted((each.reason or "").partition(":")[0] for each in found)
    assert reasons == ["", "excluded", "internal_leg", "superseded", "superseded_late"]


def test_a_push_of_tccc_takes_the_recording_that_comes_with_the_next() -> None:
    reader = shipped("tccc", settle="10m")
    first = telcdr(accept=1700000005, end=1700000010)
    recorded = first.replace('"RecordId": ""', '"RecordId": "r-1"')
    again = recorded.replace("20012", "20013")
    for pushes in ([first, recorded, first, again], [recorded, first, again, recorded]):
        found = list(reader.rows(io.BytesIO("\n".join(pushes).encode())))
        (call,) = (row.record for row in found if isinstance(row.record, Cdr))
        assert codec.encode(call) == codec.encode(
            Cdr(
                call_id="s1",
                tenant_id="1400000000",
                direction="outbound",
                caller="+8675586013388",
                callee="+8613800138000",
                start_ms=1_700_000_000_000,
                answer_ms=1_700_000_005_000,
                end_ms=1_700_000_010_000,
                outcome="answered",
                hangup_by="callee",
                agent_id="20012",
                recording_id="r-1",
                source="tccc",
            )
        )
        assert codes_of(found).count("superseded") == 3


def codes_of(found: list[InputRow]) -> list[str]:
    return [(row.reason or "").partition(":")[0] for row in found]


def test_a_document_gives_its_versions_and_invalid_ones_are_rejected_at_once() -> None:
    reader = shipped("amazon-connect", settle="10m")
    document = "".join([update("c-1", 60_000), update("c-1", 1_000, DisconnectTimestamp=None), "{"])
    first, second, third = reader.events(document.encode())
    assert first.event is not None
    assert (first.event.key, first.event.version, first.event.at_ms) == (
        ("c-1", "111122223333"),
        START + 60_000,
        START + 60_000,
    )
    assert reader.logged(first.value) == first.event
    assert second.reason == "excluded: the call has not ended"
    assert (third.reason or "").startswith("malformed_json")
    csv = adapter()
    (row,) = csv.events(b"id,end,to,n\nc1,1700000000,a,4\n")
    assert json.loads(row.value) == {"id": "c1", "end": "1700000000", "to": "a", "n": "4"}
    assert csv.logged(row.value) == row.event


def test_a_contact_that_names_no_update_is_the_least_version_at_its_end() -> None:
    reader = shipped("amazon-connect", settle="10m")
    (row,) = reader.events(contact().encode())
    assert row.event is not None
    assert (row.event.version, row.event.at_ms) == (0, START + 13_000)


def test_the_dry_run_counts_versions() -> None:
    reader = shipped("amazon-connect", settle="10m")
    lines = [update("c-1", 60_000), update("c-1", 61_000), update("c-1", 3 * HOUR), update("c-2", HOUR)]
    found = survey(reader, iter([("\n".join(lines)).encode()]))
    assert (found.rows, found.records, found.superseded, found.settle_ms) == (4, 2, 2, 10 * MINUTE)
    assert found.repeated.rows == 0
    assert found.tables
    plain = survey(open_adapter("amazon-connect"), iter([("\n".join(lines)).encode()]))
    assert (plain.records, plain.repeated.rows, plain.settle_ms) == (4, 2, 0)
    assert survey(reader, iter([("\n".join(lines)).encode()]), limit=2).rows == 2
