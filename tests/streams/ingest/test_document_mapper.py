"""A document of another system becomes records, events, dead letters, and rows that are left out, each counted."""

from test_foreign_rows import ACC, ORIGIN, placement

from monitor.adapters import open_adapter
from streams.ingest.document_mapper import DocumentMapper, MappedOutputs


def test_events_of_a_document_are_counted():
    outputs = MappedOutputs()
    DocumentMapper(open_adapter("kamailio-acc", {}), placement(), "acc").map(ACC, ORIGIN, outputs)
    assert outputs.counts == {("event", ""): 2}
    assert [out.topic for out in outputs.records] == ["callwarden.raw"] * 2
    assert outputs.bytes > sum(len(out.value) for out in outputs.records)


def test_a_document_without_rows_or_with_too_many_is_one_letter():
    outputs = MappedOutputs()
    mapper = DocumentMapper(open_adapter("kamailio-acc", {}), placement(), "acc", most_rows=1)
    mapper.map(ACC, ORIGIN, outputs, b"key")
    mapper.map(b"", ORIGIN, outputs)
    assert outputs.counts == {("refused", "too_long"): 1, ("refused", "unreadable"): 1}
    first = outputs.records[0]
    assert (first.topic, first.key, first.value) == ("callwarden.dead-letter", b"key", ACC)
    assert first.headers[1:] == ORIGIN


def test_a_refused_row_is_a_letter_beside_the_others():
    outputs = MappedOutputs()
    document = ACC + b"103,INVITE,a,b\n"
    DocumentMapper(open_adapter("kamailio-acc", {}), placement(), "acc").map(document, ORIGIN, outputs)
    assert outputs.counts == {("event", ""): 2, ("refused", "malformed_row"): 1}
    assert outputs.records[-1].value == b"103,INVITE,a,b"
