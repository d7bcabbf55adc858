"""Each schema is looked up once, and no producer can cause more look-ups than the limit."""

import threading

import pytest

from helpers.patience import PATIENCE_S
from streams.ingest.registry import lookups
from streams.ingest.registry.client import NoSuchSchema
from streams.ingest.registry.decoder import RegistryDecoder
from streams.ingest.registry.errors import SchemaRefused, Undecodable
from streams.ingest.registry.lookups import SchemaLookups
from streams.ingest.registry.registered import RegisteredSchema
from streams.kafka.api import TransientError


class Reader:
    def __init__(self):
        self.asked, self.error = [], None

    def schema(self, schema_id):
        self.asked.append(schema_id)
        if self.error is not None:
            raise self.error
        return RegisteredSchema("AVRO", str(schema_id))


class Echo:
    def __init__(self, schema):
        if schema.text == "666":
            raise SchemaRefused("an evil one")
        self.schema = schema

    def document(self, value):
        return self.schema.text.encode()


class Bench:
    def __init__(self):
        self.now_s, self.reader = 0.0, Reader()
        self.lookups = SchemaLookups(self.reader, Echo, lambda: self.now_s)
        self.decoder = RegistryDecoder(self.lookups)

    def decode(self, schema_id):
        return self.decoder.decode(b"\0" + schema_id.to_bytes(4, "big") + b"x")


@pytest.fixture
def bench():
    return Bench()


def test_a_schema_is_looked_up_once_and_the_ones_used_last_are_kept(bench, monkeypatch):
    monkeypatch.setattr(lookups, "MOST_SCHEMAS", 2)
    assert [bench.decode(each) for each in (1, 2, 1, 3, 1, 2)] == [b"1", b"2", b"1", b"3", b"1", b"2"]
    assert bench.reader.asked == [1, 2, 3, 2]


def test_an_id_without_a_schema_is_asked_for_once_a_minute(bench):
    bench.reader.error = NoSuchSchema("none")
    for _ in range(1_000):
        with pytest.raises(Undecodable, match=r"^unreadable: the schema registry has no schema 7$"):
            bench.decode(7)
    assert bench.reader.asked == [7]
    bench.now_s, bench.reader.error = lookups.REFUSAL_S + 1, None
    assert bench.decode(7) == b"7"


def test_a_schema_that_is_refused_is_refused_without_another_look(bench):
    for _ in range(3):
        with pytest.raises(Undecodable, match=r"^unreadable: the schema 666 is not used: an evil one$"):
            bench.decode(666)
    assert bench.reader.asked == [666]


def test_many_ids_cause_no_more_look_ups_than_the_limit_and_known_schemas_go_on(bench):
    assert bench.decode(1) == b"1"
    bench.reader.error = NoSuchSchema("none")
    for tick in range(100):
        bench.now_s = tick / 10
        for n in range(100):
            with pytest.raises(Undecodable, match=r"no schema|not looked up"):
                bench.decode(1_000 + 100 * tick + n)
        assert bench.decode(1) == b"1"
    assert len(bench.reader.asked) <= lookups.LOOKUPS_AT_ONCE + 10 * lookups.LOOKUPS_A_SECOND
    bench.reader.error = None
    bench.now_s += 1
    assert bench.decode(2) == b"2"


def test_what_is_remembered_of_ids_without_a_schema_is_bounded(bench, monkeypatch):
    monkeypatch.setattr(lookups, "MOST_REFUSALS", 10)
    bench.reader.error = NoSuchSchema("none")
    for schema_id in range(100):
        with pytest.raises(Undecodable):
            bench.decode(schema_id)
    assert len(bench.lookups._refusals) == 10


def test_without_the_registry_records_wait_and_nothing_is_refused(bench):
    assert bench.decode(1) == b"1"
    bench.reader.error = TransientError("the schema registry x cannot be reached: connection refused")
    for tick in range(1_000):
        bench.now_s = tick / 10
        with pytest.raises(TransientError, match="cannot be reached"):
            bench.decode(2)
        assert bench.decode(1) == b"1"
    assert len(bench.reader.asked) < 250  # not one for each record
    bench.now_s, bench.reader.error = bench.now_s + 1, None
    assert bench.decode(2) == b"2"


def test_a_look_up_holds_up_no_partition_whose_schemas_are_known(bench):
    bench.decode(1)
    entered, leave = threading.Event(), threading.Event()
    plain = bench.reader.schema

    def slow(schema_id):
        entered.set()
        assert leave.wait(PATIENCE_S)
        return plain(schema_id)

    bench.reader.schema = slow
    others = [threading.Thread(target=bench.decode, args=(2,)) for _ in range(3)]
    for each in others:
        each.start()
    assert entered.wait(PATIENCE_S)
    assert bench.decode(1) == b"1"
    leave.set()
    for each in others:
        each.join()
    assert bench.reader.asked == [1, 2]


@pytest.mark.parametrize("value", [b"", b"\0\0\0\0", b'{"a": 1}', b"\1\0\0\0\1x", b"\0\xff\xff\xff\xffx"])
def test_a_value_without_the_frame_is_refused_without_a_look(bench, value):
    with pytest.raises(Undecodable, match=r"^unreadable: the value "):
        bench.decoder.decode(value)
    assert bench.reader.asked == []
