"""A document of another system becomes records, events, dead letters, and rows that are left out, each counted."""

from textwrap import dedent

from test_foreign_rows import ACC, ORIGIN, placement

from monitor.adapters.mapping.read import read_mapping
from monitor.adapters.shipped import open_adapter
from monitor.adapters.versioned import VersionedAdapter
from streams.ingest.document_mapper import DocumentMapper, MappedOutputs


def test_events_of_a_document_are_counted():
    outputs = MappedOutputs()
    DocumentMapper(open_adapter("kamailio-acc", {}), placement(), "acc").map(ACC, ORIGIN, outputs)
    assert outputs.counts == {("event", ""): 2}
    assert [out.topic for out in outputs.records] == ["callwarden.raw"] * 2
    assert outputs.bytes > sum(len(out.value) for out in outputs.records)


def test_versions_of_a_document_are_counted_as_events():
    document = b'{"id": "c1", "at": 1700000000, "n": 1}{"id": "c1", "at": 1700000000, "n": 2}'
    mapping = """
        format: json
        record: cdr
        version: {column: n}
        settle: 5m
        fields:
          call_id: {column: id}
          direction: {const: outbound}
          caller: {const: "+15550001111"}
          callee: {const: "+15557654321"}
          start_ms: {column: at, time: epoch_s}
          end_ms: {column: at, time: epoch_s}
          outcome: {const: busy}
    """
    found = read_mapping(dedent(mapping), "versions.yaml", {"tenant_id": "acme"})
    outputs = MappedOutputs()
    mapper = DocumentMapper(VersionedAdapter(found, found.versions, b"key"), placement(), "their-calls")
    mapper.map(document, ORIGIN, outputs)
    assert outputs.counts == {("event", ""): 2}
    assert [out.key for out in outputs.records] == [b'["their-calls","c1","acme"]'] * 2


def test_a_document_without_rows_or_with_too_many_is_one_letter():
    outputs = MappedOutputs()
    mapper = DocumentMapper(open_adapter("kamailio-acc", {}), placement(), "acc", most_rows=1)
    mapper.map(ACC, ORIGIN, outputs, b"key")
    mapper.map(b"", ORIGIN, outputs)
    assert outputs.counts == {("rejected", "too_long"): 1, ("rejected", "unreadable"): 1}
    first = outputs.records[0]
    assert (first.topic, first.key, first.value) == ("callwarden.dead-letter", b"key", ACC)
    assert first.headers[1:] == ORIGIN


def test_a_rejected_row_is_a_letter_beside_the_others():
    outputs = MappedOutputs()
    document = ACC + b"103,INVITE,a,b\n"
    DocumentMapper(open_adapter("kamailio-acc", {}), placement(), "acc").map(document, ORIGIN, outputs)
    assert outputs.counts == {("event", ""): 2, ("rejected", "malformed_row"): 1}
    assert outputs.records[-1].value == b"103,INVITE,a,b"
