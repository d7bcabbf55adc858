"""What becomes of a row of another system: a record under its tenant, a dead letter as it came, or nothing."""

import asyncio
import hashlib

from monitor.adapters.base import InputRow
from schemas import codec
from schemas.inputs import Tenant
from streams.ingest.foreign_rows import MAX_RECORD_BYTES, code_of, dead_letter, outcome_of
from streams.ingest.placement import TopicPlacement
from streams.kafka.topic_names import TopicNames

ORIGIN = (("topic", b"their-cdrs"), ("offset", b"7"))


class Topics:
    async def partitions(self, topics):
        return dict.fromkeys(topics, 4)


def placement():
    placement = TopicPlacement(TopicNames(), "murmur2")
    asyncio.run(placement.refresh(Topics()))
    return placement


def tenant(**fields):
    return Tenant(**({"tenant_id": "t1", "declared_businesses": [], "numbers": [], "updated_ms": 10**12} | fields))


def test_a_record_goes_to_the_topic_of_its_type_under_its_tenant():
    record = tenant()
    out, code = outcome_of(InputRow(1, b"their row", record, None), placement(), "their-cdrs-0", ORIGIN)
    assert (out.topic, out.key, out.value, out.headers) == ("callwarden.tenants", b"t1", codec.encode(record), ())
    assert code is None


def test_a_refused_row_is_kept_as_it_came_with_its_key_its_reason_and_its_origin():
    row = InputRow(3, b"\xff their row", None, "not_text: byte 0xff")
    out, code = outcome_of(row, placement(), "their-cdrs-0", ORIGIN, b"their key")
    assert (out.topic, out.key, out.value) == ("callwarden.dead-letter", b"their key", b"\xff their row")
    assert out.headers == (("reason", b"not_text: byte 0xff"), *ORIGIN)
    assert code == "not_text"


def test_a_row_that_the_mapping_leaves_out_is_counted_and_not_written():
    row = InputRow(1, b"a leg inside the switch", None, "internal_leg: not through a gateway")
    assert outcome_of(row, placement(), "their-cdrs-0", ORIGIN) == (None, "internal_leg")


def test_a_record_that_no_topic_takes_is_a_dead_letter_of_the_bytes_that_came():
    record = tenant(numbers=["1" * 4_000] * 300)
    out, code = outcome_of(InputRow(1, b"their row", record, None), placement(), "their-cdrs-0", ORIGIN)
    assert (out.topic, out.value, code) == ("callwarden.dead-letter", b"their row", "too_long")


def test_a_letter_that_is_too_large_is_cut_and_says_what_it_was():
    raw, key = b"x" * (MAX_RECORD_BYTES + 1), b"k" * 70_000
    out = dead_letter(placement(), "their-cdrs-0", raw, "too_long: it is", (), key)
    headers = dict(out.headers)
    assert len(out.value) == MAX_RECORD_BYTES
    assert len(out.key) == 65_536
    assert headers["length"] == b"900001"
    assert headers["sha256"] == hashlib.sha256(raw).hexdigest().encode()
    assert headers["key_length"] == b"70000"
    assert headers["key_sha256"] == hashlib.sha256(key).hexdigest().encode()
    assert len(out.key) + len(out.value) + sum(len(name) + len(value) for name, value in out.headers) < 1_000_000


def test_a_reason_without_a_known_code_or_with_half_a_character_stops_nothing():
    assert code_of("what is this") == "unreadable"
    assert dead_letter(placement(), "s", b"", "unknown_value: \ud800", ()).headers[0][1] == b"unknown_value: \\ud800"
