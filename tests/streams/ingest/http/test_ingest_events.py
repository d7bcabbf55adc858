"""POST /v1/in/NAME of a format in which several events make one call: each event goes to `callwarden.raw`."""

import json
from pathlib import Path
from typing import Any

import pytest
from ingest_service import NARROW, TOKEN, MemoryTopics, serving, tokens_text

from streams.ingest.raw_events import feed_of

ELSE = "a-token-for-complaints"
TOKENS = tokens_text(
    ("wide", TOKEN, "all", "all"),
    ("narrow", NARROW, "[cdr]", "[acme]"),
    ("else", ELSE, "[complaint]", "all"),
)
SOURCES = """
sources:
- {name: switch-1, format: kamailio-acc}
- {name: switch-2, format: kamailio-acc, set: {tenant_id: acme}}
- {name: pbx, format: asterisk-cel}
- name: telnyx
- {name: connect, format: amazon-connect, set: {settle: 5m}}
- {name: connect-at-once, format: amazon-connect}
"""
HEADER = b"id,method,from_tag,to_tag,callid,sip_code,sip_reason,time,src_user,dst_user,tenant\n"
INVITE = b"101,INVITE,as1f,gK09,4e1a,200,OK,2026-03-02 01:30:08,+8675500001111,+8613800138000,acme\n"
BYE = b"102,BYE,gK09,as1f,4e1a,200,OK,2026-03-02 01:30:13,,,\n"
REGISTER = b"103,REGISTER,a,b,4e1b,200,OK,2026-03-02 01:30:13,,,\n"
BROKEN = b"104,INVITE,a\n"


CONTACT = (
    b'{"AWSAccountId":"acme","ContactId":"c-1","InitiationMethod":"OUTBOUND","InitiationTimestamp":"2026-03-02T01:30:00Z",'
    b'"DisconnectTimestamp":"2026-03-02T01:30:13Z","LastUpdateTimestamp":"2026-03-02T01:31:00Z",'
    b'"CustomerEndpoint":{"Address":"+15557654321"},"SystemEndpoint":{"Address":"+15550001111"}}'
)
OPEN_CONTACT = CONTACT.replace(b'"2026-03-02T01:30:13Z"', b"null")
CHAT = CONTACT.replace(b'"InitiationMethod"', b'"Channel":"CHAT","InitiationMethod"')


def open_service(folder: Path, topics: MemoryTopics | None = None) -> Any:
    file = folder / "sources.yaml"
    file.write_text(SOURCES, "utf-8")
    return serving(folder, topics, tokens=TOKENS, ingest_sources_file=str(file))


async def post(service: Any, name: str, body: bytes, token: str = TOKEN, **headers: str) -> tuple[int, Any]:
    status, _, answer = await service.ask(
        "POST", f"/v1/in/{name}", {"Authorization": f"Bearer {token}", **headers}, body
    )
    return status, answer


def codes(answer: Any) -> list[tuple[int, str]]:
    return [(each["index"], each["code"]) for each in answer["rejections"]]


async def test_each_event_is_written_under_its_source_and_its_call(tmp_path: Path) -> None:
    async with open_service(tmp_path) as service:
        status, answer = await post(service, "switch-1", HEADER + INVITE + REGISTER + BROKEN + BYE)
        assert (status, answer["accepted"], codes(answer)) == (202, 2, [(1, "excluded"), (2, "malformed_row")])
        invite, bye = service.topics.of("raw")
        assert feed_of(invite.key) == "switch-1"
        assert (bye.key, bye.partition) == (invite.key, invite.partition)
        assert json.loads(invite.value)["callid"] == "4e1a"
        (letter,) = service.topics.of("dead-letter")
        assert letter.value == BROKEN.rstrip()
        assert service.topics.of("cdr") == []
        assert await service.metric("callwarden_ingest_records_total{") == 4


CEL = b"eventtype,eventtime,cidnum,exten,context,channame,uniqueid,linkedid,accountcode\n"
CHANNEL = b"CHAN_START,2026-03-02 01:30:08.120,+8675500001111,+8613800138000,out,PJSIP/a-1,1.1,1.1,acme\n"


@pytest.mark.parametrize(
    ("source", "header", "column", "other"),
    [
        ("switch-1", HEADER + 300 * INVITE, b"callid", b"call_id"),
        ("switch-1", HEADER + 300 * INVITE, b"tenant", b"account"),
        ("pbx", CEL + 300 * CHANNEL, b"linkedid", b"link"),
        ("pbx", CEL + 300 * CHANNEL, b"accountcode", b"account"),
        ("pbx", 300 * CHANNEL, b"eventtype", b""),  # Asterisk writes no header by itself
    ],
)
async def test_a_header_without_a_column_of_the_format_is_one_rejection(
    source: str, header: bytes, column: bytes, other: bytes, tmp_path: Path
) -> None:
    async with open_service(tmp_path) as service:
        status, answer = await post(service, source, header.replace(column, other, 1))
        assert (status, answer["received"], codes(answer)) == (422, 1, [(0, "malformed_row")])
        assert f"the file has no column `{column.decode()}`" in answer["rejections"][0]["reason"]
        assert len(service.topics.of("dead-letter")) == 1
        assert service.topics.of("raw") == []


async def test_a_repeated_request_writes_its_events_once(tmp_path: Path) -> None:
    async with open_service(tmp_path) as service:
        for _ in range(2):
            assert (await post(service, "switch-1", HEADER + INVITE, **{"Idempotency-Key": "one"}))[0] == 202
        assert len(service.topics.of("raw")) == 1


async def test_a_token_of_some_tenants_writes_no_event_that_may_be_of_another_tenants_call(tmp_path: Path) -> None:
    other = INVITE.replace(b"acme", b"other")
    async with open_service(tmp_path) as service:
        status, answer = await post(service, "switch-1", HEADER + INVITE + BYE + other, NARROW)
        assert (status, codes(answer)) == (202, [(1, "forbidden_tenant"), (2, "forbidden_tenant")])
        assert "set: {tenant_id: ...}" in answer["rejections"][0]["reason"]
        assert len(service.topics.of("raw")) == 1
        # A source of one tenant, whatever tenant the events name.
        assert (await post(service, "switch-2", HEADER + INVITE + BYE + other, NARROW))[1]["accepted"] == 3


async def test_versions_of_calls_are_written_like_events_where_they_are_held(tmp_path: Path) -> None:
    async with open_service(tmp_path) as service:
        body = CONTACT + OPEN_CONTACT + CHAT + CONTACT.replace(b"01:31:00", b"01:32:00") + b"{"
        status, answer = await post(service, "connect", body)
        assert (status, answer["accepted"]) == (202, 2)
        assert codes(answer) == [(1, "excluded"), (2, "excluded"), (4, "malformed_json")]
        first, second = service.topics.of("raw")
        assert (first.key, first.value) == (b'["connect","c-1","acme"]', CONTACT)
        assert (second.key, second.partition) == (first.key, first.partition)
        assert service.topics.of("cdr") == []
        assert (await post(service, "connect-at-once", body))[1]["accepted"] == 2
        assert (len(service.topics.of("raw")), len(service.topics.of("cdr"))) == (2, 2)


async def test_a_token_of_some_tenants_writes_versions_of_their_calls_alone(tmp_path: Path) -> None:
    async with open_service(tmp_path) as service:
        status, answer = await post(service, "connect", CONTACT + CONTACT.replace(b"acme", b"other"), NARROW)
        assert (status, codes(answer)) == (202, [(1, "forbidden_tenant")])


async def test_a_token_that_may_not_write_calls_writes_no_event(tmp_path: Path) -> None:
    async with open_service(tmp_path) as service:
        status, answer = await post(service, "switch-1", HEADER + INVITE, ELSE)
        assert (status, codes(answer)) == (422, [(0, "forbidden_type")])


async def test_events_wait_for_their_topic_and_records_do_not(tmp_path: Path) -> None:
    topics = MemoryTopics()
    del topics.counts["callwarden.raw"]
    async with open_service(tmp_path, topics) as service:
        status, answer = await post(service, "telnyx", b"{}")
        assert (status, answer["detail"]) == (503, "the topic of raw events is missing; retry")
        assert (await service.post([]))[0] == 400
