"""A row of another system becomes a record under its tenant, an unchanged dead letter, or nothing."""

import asyncio
import hashlib

import pytest

from monitor.adapters.base import InputRow
from monitor.adapters.shipped import open_adapter
from schemas import codec
from schemas.inputs import Tenant
from streams.ingest.foreign_rows import MAX_RECORD_BYTES, code_of, dead_letter, foreign_rows, outcome_of
from streams.ingest.placement import TopicPlacement
from streams.ingest.raw_events import feed_of
from streams.kafka.api import PermanentError
from streams.kafka.topic_names import TopicNames

ORIGIN = (("topic", b"their-cdrs"), ("offset", b"7"))


HEADER = b"id,method,from_tag,to_tag,callid,sip_code,sip_reason,time,src_user,dst_user,tenant\n"
ACC = (
    HEADER
    + b"101,INVITE,as1f,gK09,4e1a,200,OK,2026-03-02 01:30:08,+8675500001111,+8613800138000,acme\n"
    + b"102,BYE,gK09,as1f,4e1a,200,OK,2026-03-02 01:30:13,,,\n"
)
TWICE = ACC.replace(b"tenant", b"tenant,time").replace(b",acme", b",acme,x").replace(b",,", b",,,")


class Topics:
    def __init__(self, without):
        self.without = without

    async def partitions(self, topics):
        return {topic: 4 for topic in topics if topic != self.without}


def placement(without=""):
    placement = TopicPlacement(TopicNames(), "murmur2")
    asyncio.run(placement.refresh(Topics(without)))
    return placement


def tenant(**fields):
    return Tenant(**({"tenant_id": "t1", "declared_businesses": [], "numbers": [], "updated_ms": 10**12} | fields))


def test_a_record_goes_to_the_topic_of_its_type_under_its_tenant():
    record = tenant()
    out, code = outcome_of(InputRow(1, b"their row", record, None), placement(), "their-cdrs-0", ORIGIN)
    assert (out.topic, out.key, out.value, out.headers) == ("callwarden.tenants", b"t1", codec.encode(record), ())
    assert code is None


def events(document, name="kamailio-acc", **settings):
    return list(foreign_rows(open_adapter(name, settings), document))


def test_an_event_goes_to_the_raw_topic_under_its_feed_and_call():
    invite, bye = events(ACC)
    out, code = outcome_of(invite, placement(), "their-cdrs", ORIGIN)
    again, _ = outcome_of(bye, placement(), "their-cdrs", ORIGIN)
    assert code is None
    assert (out.topic, out.key) == ("callwarden.raw", b'["their-cdrs","4e1a","as1f","gK09"]')
    assert (again.topic, again.partition, again.key) == (out.topic, out.partition, out.key)
    assert feed_of(out.key) == "their-cdrs"


@pytest.mark.parametrize(
    ("name", "settings", "document"),
    [
        ("kamailio-acc", {}, ACC),
        ("kamailio-acc", {"form": "json"}, b'[{"method": "INVITE", "sip_code": 486, "callid": "1",\n'
         b' "time": "2026-03-02 01:30:08"}]'),
        ("kamailio-acc", {"tenant": "acc[1].t"}, ACC.replace(b"tenant", b"acc[1].t")),
        ("kamailio-acc", {}, TWICE),
        ("twilio-events", {}, b"CallSid=CA1&CallStatus=completed&Timestamp=2026-03-02T01%3A30%3A08Z&From=%2B86+1"),
        ("telnyx", {}, b'{"data": {"event_type": "call.hangup", "occurred_at": "2026-03-02T01:30:08Z", "payload":'
         b' {"call_leg_id": "1"}}}'),
    ],
)  # fmt: skip
def test_an_event_is_read_again_from_its_value(name, settings, document):
    adapter = open_adapter(name, settings)
    rows = list(foreign_rows(adapter, document))
    assert rows
    for row in rows:
        if row.event is not None:
            assert adapter.logged(row.value) == row.event
    assert any(row.event is not None for row in rows)


def test_a_version_goes_to_the_raw_topic_under_its_feed_its_call_and_its_tenant():
    contact = (
        b'{"AWSAccountId":"1111","ContactId":"c-1","InitiationMethod":"OUTBOUND","InitiationTimestamp":'
        b'"2026-03-02T01:30:00Z","DisconnectTimestamp":"2026-03-02T01:30:13Z","LastUpdateTimestamp":"%s",'
        b'"CustomerEndpoint":{"Address":"+15557654321"},"SystemEndpoint":{"Address":"+15550001111"}}'
    )
    document = contact % b"2026-03-02T01:31:00Z" + contact % b"2026-03-03T01:31:00Z" + contact.replace(b"OUT", b"")
    adapter = open_adapter("amazon-connect", {"settle": "5m"})
    first, second, broken = foreign_rows(adapter, document)
    out, code = outcome_of(first, placement(), "connect", ORIGIN)
    again, _ = outcome_of(second, placement(), "connect", ORIGIN)
    assert code is None
    assert (out.topic, out.key, out.value) == ("callwarden.raw", b'["connect","c-1","1111"]', first.raw)
    assert (again.topic, again.partition, again.key) == (out.topic, out.partition, out.key)
    assert adapter.logged(out.value) == first.event
    letter, code = outcome_of(broken, placement(), "connect", ORIGIN)
    assert (letter.topic, letter.value, code) == ("callwarden.dead-letter", broken.raw, "unknown_value")
    assert isinstance(next(foreign_rows(open_adapter("amazon-connect"), document)), InputRow)


def test_a_rejected_event_is_kept_as_it_came_and_one_that_is_none_is_not_written():
    register, broken = events(HEADER + b"1,REGISTER,a,b,4e1a,200,OK,2026-03-02 01:30:08,1,2,t\n1,INVITE,a\n")
    assert outcome_of(register, placement(), "their-cdrs", ORIGIN) == (None, "excluded")
    out, code = outcome_of(broken, placement(), "their-cdrs", ORIGIN)
    assert (out.topic, out.value, code) == ("callwarden.dead-letter", b"1,INVITE,a", "malformed_row")


def test_events_without_a_topic_are_an_error_of_the_installation():
    (row, _), place = events(ACC), placement(without="callwarden.raw")
    with pytest.raises(PermanentError, match=r"there is no topic callwarden\.raw; `callwarden topics create`"):
        outcome_of(row, place, "their-cdrs", ORIGIN)


def test_a_rejected_row_is_kept_as_it_came_with_its_key_its_reason_and_its_origin():
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
