"""A batch of source records becomes records and dead letters; the quick way and the whole one give the same."""

import json
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from test_foreign_rows import placement

from monitor.adapters.mapped import MappedAdapter
from monitor.adapters.shipped import open_adapter
from monitor.partition.record_batch import UnreadableRecord
from streams.ingest.bridge.handler import BridgeHandler
from streams.ingest.bridge.telemetry import BridgeMetrics
from streams.ingest.document_mapper import DocumentMapper, MappedOutputs
from streams.kafka.api import TP, FetchedBatch, TransientError
from streams.kafka.outputs import OutputRecord

MAPPING = """
format: json
record: cdr
rows: [page.items]
reject:
- {when: {column: test, equals: "1"}, reason: a test call}
fields:
  call_id: {column: id}
  tenant_id: {column: customer.id}
  direction: {const: outbound}
  caller: {column: from, number: CN}
  callee: {column: to, number: CN}
  start_ms: {column: began, time: epoch_ms}
  end_ms: {column: ended, time: epoch_ms}
  outcome: {column: result, table: {ok: no_answer}, otherwise: reject}
"""
CALL: dict[str, Any] = {
    "id": "c", "customer": {"id": "t1"}, "from": "075586013388", "to": "13800138000", "began": 1772438400000,
    "ended": 1772438430000, "result": "ok",
}  # fmt: skip


def adapter(tmp_path, text=MAPPING) -> MappedAdapter:
    path = tmp_path / "own.yaml"
    path.write_text(text, "utf-8")
    found = open_adapter(str(path))
    assert isinstance(found, MappedAdapter)
    return found


DOCUMENTS = {
    "an object": json.dumps(CALL),
    "an object over lines": json.dumps(CALL, indent=1),
    "white space around it": f"\n {json.dumps(CALL)} \n",
    "two objects": f"{json.dumps(CALL)} {json.dumps({**CALL, 'id': 'd'})}",
    "two lines": f"{json.dumps(CALL)}\n{json.dumps({**CALL, 'id': 'd'})}",
    "an array": json.dumps([CALL, {**CALL, "id": "d"}]),
    "a page": json.dumps({"page": {"items": [CALL]}}),
    "a page that is a call": json.dumps({"page": 1, **CALL}),
    "a number as id": json.dumps({**CALL, "id": 17}),
    "a list as id": json.dumps({**CALL, "id": [1]}),
    "no tenant": json.dumps({**CALL, "customer": None}),
    "a dotted name": json.dumps({**CALL, "customer": None, "customer.id": "t2"}),
    "a test call": json.dumps({**CALL, "test": 1}),
    "an unknown outcome": json.dumps({**CALL, "result": "x"}),
    "a field twice": json.dumps(CALL)[:-1] + ', "id": "last"}',
    "half a surrogate": json.dumps({**CALL, "id": "\ud800"}),
    "a byte order mark": "\ufeff" + json.dumps(CALL),
    "times that contradict": json.dumps({**CALL, "ended": 1}),
    "truncated": json.dumps(CALL)[:-5],
    "a text": '"x"',
    "nothing": "",
}


def mapped(one: MappedAdapter, document: bytes, *, quick: bool) -> tuple[list[OutputRecord], object]:
    outputs, mapper = MappedOutputs(), DocumentMapper(one, placement(), "own")
    if not (quick and mapper.map_one(document, outputs)):
        mapper.map(document, (), outputs)
    return outputs.records, outputs.counts


@pytest.mark.parametrize("name", DOCUMENTS)
@pytest.mark.parametrize("form", ["json", "jsonl"])
def test_the_quick_way_gives_what_the_whole_one_does(tmp_path, name: str, form: str) -> None:
    text = MAPPING.replace("format: json", f"format: {form}")
    one = adapter(tmp_path, text if form == "json" else text.replace("rows: [page.items]\n", ""))
    document = DOCUMENTS[name].encode("utf-8", "surrogatepass")
    assert mapped(one, document, quick=True) == mapped(one, document, quick=False)


def test_every_record_of_a_batch_is_written_or_is_a_letter_with_its_origin(tmp_path) -> None:
    registry = CollectorRegistry()
    handler = BridgeHandler(
        TP("theirs", 2), DocumentMapper(adapter(tmp_path), placement(), "own"), BridgeMetrics(registry)
    )
    values = [json.dumps(CALL).encode(), None, b"{", b"batch", json.dumps({**CALL, "id": "d"}).encode()]
    unreadable = {13: UnreadableRecord("unreadable: broken", 8)}
    keys = [None, b"k", b"l", None, None]
    batch = FetchedBatch(7, 15, np.array([7, 8, 9, 13, 14]), np.zeros(5, np.int64), keys, values, unreadable)
    assert handler.feed(batch).position == 15
    outs = handler.take()
    assert [out.topic for out in outs] == ["callwarden.cdr", *["callwarden.dead-letter"] * 3, "callwarden.cdr"]
    assert [(out.key, out.value) for out in outs[1:4]] == [(b"k", None), (b"l", b"{"), (None, b"batch")]
    headers = [dict(out.headers) for out in outs[1:4]]
    assert [(each["topic"], each["partition"], each["offset"]) for each in headers] == [
        (b"theirs", b"2", b"8"), (b"theirs", b"2", b"9"), (b"theirs", b"2", b"13"),
    ]  # fmt: skip
    assert headers[2]["first_offset"] == b"8"
    handler.committed()
    assert registry.get_sample_value("callwarden_bridge_rows_total", {"result": "record"}) == 2
    assert registry.get_sample_value("callwarden_bridge_rows_total", {"result": "rejected"}) == 3
    assert handler.take() == []


def test_what_cannot_be_decoded_is_a_letter_as_it_came(tmp_path) -> None:
    def decode(value: bytes) -> bytes:
        if value == b"bad":
            raise ValueError("unreadable: no schema")
        return json.dumps(CALL if value == b"good" else {**CALL, "result": "x"}).encode()

    mapper = DocumentMapper(adapter(tmp_path), placement(), "own")
    handler = BridgeHandler(TP("theirs", 2), mapper, BridgeMetrics(CollectorRegistry()), decode)
    values = [b"good", b"bad", b"rejected"]
    handler.feed(FetchedBatch(0, 3, np.arange(3), np.zeros(3, np.int64), [None] * 3, values))
    outs = handler.take()
    assert [out.value for out in outs[1:]] == [b"bad", b"rejected"]
    assert outs[0].topic == "callwarden.cdr"


def test_the_rows_of_one_value_do_not_multiply_it_in_letters(tmp_path) -> None:
    outputs = MappedOutputs()
    value = json.dumps([{**CALL, "result": "x"}] * 2_000).encode()
    DocumentMapper(adapter(tmp_path), placement(), "own").map(value, (), outputs, None, value)
    assert outputs.counts.total() == len(outputs.records) == 2_000
    assert outputs.bytes < 3 * len(value)


def test_a_slice_that_fills_a_transaction_ends_there(tmp_path) -> None:
    many = json.dumps([CALL] * 2_000).encode()
    mapper = DocumentMapper(adapter(tmp_path), placement(), "own")
    handler = BridgeHandler(TP("theirs", 2), mapper, BridgeMetrics(CollectorRegistry()), lambda value: many)
    count = 16
    batch = FetchedBatch(5, 90, np.arange(count) * 2 + 10, np.zeros(count, np.int64), [None] * count, [b"x"] * count)
    position, rounds = batch.start, 0
    while position < batch.stop:
        fed = handler.feed(batch.after(position))
        assert fed.waiting_bytes < 10 << 20
        assert fed.position > position
        position, rounds = fed.position, rounds + 1
        assert len(handler.take()) % 2_000 == 0
    assert position == 90
    assert rounds > 1


def test_what_came_before_a_record_that_must_wait_is_taken_first(tmp_path) -> None:
    away = True

    def decode(value: bytes) -> bytes:
        if value == b"new" and away:
            raise TransientError("the schema registry is away")
        return json.dumps(CALL).encode()

    mapper = DocumentMapper(adapter(tmp_path), placement(), "own")
    handler = BridgeHandler(TP("theirs", 2), mapper, BridgeMetrics(CollectorRegistry()), decode)
    batch = FetchedBatch(0, 9, np.array([1, 4, 6]), np.zeros(3, np.int64), [None] * 3, [b"old", b"new", b"old"])
    fed = handler.feed(batch)
    assert fed.position == 2
    rest = batch.after(fed.position)
    assert handler.feed(rest).position == rest.start  # the outputs of the former slices first
    assert len(handler.take()) == 1
    with pytest.raises(TransientError, match="is away"):
        handler.feed(rest)
    assert handler.take() == []
    away = False
    assert handler.feed(rest).position == 9
    assert len(handler.take()) == 2
