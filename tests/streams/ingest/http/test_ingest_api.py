"""POST /v1/records: accepted and rejected bodies, and the written records."""

import asyncio
import base64
import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest
import zstandard
from ingest_service import JSON, NAMES, NARROW, PARTITIONS, TOKEN, MemoryTopics, call, serving

from helpers.patience import PATIENCE_S
from monitor.partition.partitioner import partition_of
from schemas.codec import encode
from schemas.examples import EXAMPLES
from schemas.json_schema import INPUTS

LINES = {"Content-Type": "application/x-ndjson"}
EVENT = {"Content-Type": "application/cloudevents+json"}
EVENTS = {"Content-Type": "application/cloudevents-batch+json"}
TOPIC = {"cdr": "cdr", "complaint": "complaints", "finding": "findings", "tenant": "tenants", "application": "tenants",
         "review": "reviews"}  # fmt: skip


def gzipped(data: bytes) -> bytes:
    """Without the current time: each process of a test run must name the same tests."""
    return gzip.compress(data, mtime=0)


def first_block(data: bytes) -> bytes:
    """A zstd stream that ends after the first block of its frame, as if the connection to its compressor was cut."""
    frame = zstandard.ZstdCompressor().compressobj()
    return frame.compress(data) + frame.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)


def event(data: object, **more: object) -> dict[str, object]:
    return {"specversion": "1.0", "id": "1", "source": "/pbx", "type": "callwarden.cdr.v1", "data": data} | more


async def test_every_type_goes_to_its_topic_as_it_came_and_where_workers_look_for_its_tenant(tmp_path) -> None:
    raws = {name: encode(EXAMPLES[name]) for name in INPUTS}
    async with serving(tmp_path) as service:
        status, answer = await service.post(b" [" + b" ,\n".join(raws.values()) + b"]\n")
        assert (status, answer) == (202, {"received": 6, "accepted": 6, "rejected": 0, "rejections": []})
        for name, raw in raws.items():
            tenant = EXAMPLES[name].tenant_id.encode()
            [record] = [each for each in service.topics.of(TOPIC[name]) if each.value == raw]
            assert (record.key, record.headers) == (tenant, ())
            assert record.partition == partition_of(tenant, PARTITIONS, "murmur2")


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (json.dumps(call(1)).encode(), JSON),
        (b"\n\n" + json.dumps(call(1)).encode() + b"\r\n\n", LINES),
        (json.dumps(event(call(1))).encode(), EVENT),
        (json.dumps([event(call(1))]).encode(), EVENTS),
        (json.dumps(call(1)).encode(), JSON | {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/pbx",
                                              "ce-type": "callwarden.cdr.v1"}),
        (gzipped(json.dumps(call(1)).encode()), JSON | {"Content-Encoding": "gzip"}),
        (gzipped(b"[") + gzipped(json.dumps(call(1)).encode() + b"]"), JSON | {"Content-Encoding": "gzip"}),
        (zstandard.compress(json.dumps(call(1)).encode()), JSON | {"Content-Encoding": "zstd"}),
        (zstandard.compress(b"[") + zstandard.compress(json.dumps(call(1)).encode() + b"]"),
         JSON | {"Content-Encoding": "zstd"}),
    ],
    ids=["json", "lines", "event", "batch", "binary event", "gzip", "two members", "zstd", "two frames"],
)  # fmt: skip
async def test_the_forms_of_a_body(tmp_path, body: bytes, headers: dict[str, str]) -> None:
    async with serving(tmp_path) as service:
        assert await service.post(body, headers) == (
            202,
            {"received": 1, "accepted": 1, "rejected": 0, "rejections": []},
        )
        [record] = service.topics.of("cdr")
        assert json.loads(record.value or b"") == call(1)


async def test_an_event_in_base64_and_one_whose_type_is_another(tmp_path) -> None:
    encoded = base64.b64encode(json.dumps(call(1)).encode()).decode()
    good = event(None, data_base64=encoded)
    del good["data"]
    events = [good, event(call(2), type="callwarden.review.v1"), event(call(3), type="x"), event(call(4), id=""), 5,
              event(call(6), specversion="0.3")]  # fmt: skip
    async with serving(tmp_path) as service:
        status, answer = await service.post(events, EVENTS)
        assert (status, answer["accepted"]) == (202, 1)
        assert [each["code"] for each in answer["rejections"]] == [
            "not_an_event", "not_an_event", "not_an_event", "not_an_object", "not_an_event",
        ]  # fmt: skip
        assert "id is missing" in answer["rejections"][2]["reason"]


async def test_one_bad_record_steps_aside_alone_and_becomes_a_dead_letter(tmp_path) -> None:
    lines = [json.dumps(call(1)), "{", json.dumps(call(2, outcome="gone")), "\ud800x", json.dumps(call(3))]
    body = "\n".join(lines).encode("utf-8", "surrogatepass")
    async with serving(tmp_path) as service:
        status, answer = await service.post(body, LINES)
        assert (status, answer["received"], answer["accepted"], answer["rejected"]) == (202, 5, 2, 3)
        assert [(each["index"], each["code"]) for each in answer["rejections"]] == [
            (1, "truncated_json"), (2, "unknown_value"), (3, "not_utf8"),
        ]  # fmt: skip
        assert len(service.topics.of("cdr")) == 2
        letters = service.topics.of("dead-letter")
        assert [each.value for each in letters] == body.split(b"\n")[1:4]
        headers = [dict(each.headers) for each in letters]
        assert {each["ingest"] for each in headers} == {b"wide"}
        assert headers[0]["reason"].startswith(b"truncated_json: ")
        assert await service.metric('callwarden_ingest_rejected_total{code="not_utf8"}') == 1
        assert await service.metric('callwarden_ingest_records_total{result="accepted",token="wide"}') == 2


async def test_all_rejected_is_422(tmp_path) -> None:
    async with serving(tmp_path) as service:
        status, answer = await service.post([call(1, tenant=""), {}])
        assert (status, answer["accepted"], answer["rejected"]) == (422, 0, 2)


async def test_a_token_writes_what_it_may(tmp_path) -> None:
    review = json.loads(encode(EXAMPLES["review"]))
    async with serving(tmp_path) as service:
        status, answer = await service.post([call(1), call(2, "other"), review], token=NARROW)
        assert (status, answer["accepted"]) == (202, 1)
        assert [each["code"] for each in answer["rejections"]] == ["forbidden_tenant", "forbidden_type"]
        basic = base64.b64encode(f"anything:{NARROW}".encode()).decode()
        given = {f"Basic {basic}": 202, f"bearer {NARROW}": 202, "Bearer x": 401, "": 401, f"Digest {NARROW}": 401}
        given |= {"Basic ???": 401, "Bearer " + "y" * 9_000: 401}
        body = json.dumps(call(1)).encode()
        for header, wanted in given.items():
            status, headers, _ = await service.ask("POST", "/v1/records", JSON | {"Authorization": header}, body)
            assert status == wanted, header
            assert ("www-authenticate" in headers) is (wanted == 401)


async def test_a_repeated_request_writes_nothing_and_gets_the_first_answer(tmp_path) -> None:
    body, key = [call(1), call(2, outcome="gone")], {"Idempotency-Key": "k-1"}
    async with serving(tmp_path) as service:
        first = await service.post(body, JSON | key)
        assert first[0] == 202
        for _ in range(3):
            assert await service.post(body, JSON | key) == first
            await asyncio.sleep(0.05)
        assert len(service.topics.of("cdr")) == len(service.topics.of("dead-letter")) == 1
        assert await service.metric("callwarden_ingest_repeated_requests_total") == 3
        assert await service.metric('callwarden_ingest_records_total{result="accepted",token="wide"}') == 1
        status, problem = await service.post([call(1)], JSON | key)
        assert (status, problem["type"]) == (422, "urn:callwarden:problem:key-reused")
        # The key belongs to the token.
        assert (await service.post([call(1)], JSON | key, NARROW))[0] == 202
        assert len(service.topics.of("cdr")) == 2


async def test_a_key_is_known_after_a_restart_of_the_ingest_service(tmp_path) -> None:
    topics, key = MemoryTopics(), JSON | {"Idempotency-Key": "k-1"}
    answers = []
    for _ in range(3):
        async with serving(tmp_path, topics) as service:
            answers.append(await service.post([call(1), {}], key))
    assert answers[0] == answers[1] == answers[2]
    assert len(topics.of("cdr")) == 1


async def answered(
    asked: list[asyncio.Task[tuple[int, Any]]], at_once: int, acknowledges: asyncio.Event
) -> list[tuple[int, Any]]:
    """The answers: so many come before the cluster acknowledges anything, the others afterwards."""
    early = asyncio.as_completed(asked)
    for _ in range(at_once):
        await next(early)
    acknowledges.set()
    return await asyncio.gather(*asked)


async def test_the_same_key_at_the_same_time_is_in_flight(tmp_path) -> None:
    key = JSON | {"Idempotency-Key": "k-1"}
    async with serving(tmp_path) as service:
        service.topics.acknowledges.clear()
        asked = [asyncio.create_task(service.post([call(1)], key)) for _ in range(5)]
        answers = await answered(asked, 4, service.topics.acknowledges)
        assert sorted(status for status, _ in answers) == [202, 409, 409, 409, 409]
        assert len(service.topics.of("cdr")) == 1


async def test_while_kafka_is_away_it_says_so_and_continues_by_itself(tmp_path) -> None:
    topics = MemoryTopics()
    topics.away = True
    async with serving(tmp_path, topics, ready=False) as service:
        assert (await service.ask("GET", "/readyz", {}))[0] == 503
        assert (await service.post([call(1)]))[0] == 503
        topics.away = False
        async with asyncio.timeout(PATIENCE_S):
            while (await service.ask("GET", "/readyz", {}))[0] != 200:
                await asyncio.sleep(0.05)
        topics.away = True
        for headers in (JSON, JSON | {"Idempotency-Key": "k-1"}):
            status, printed, problem = await service.ask(
                "POST", "/v1/records", headers | {"Authorization": f"Bearer {TOKEN}"}, json.dumps(call(1)).encode()
            )
            assert (status, problem["type"]) == (503, "urn:callwarden:problem:not-now")
            assert int(printed["retry-after"]) >= 1
        assert (await service.ask("GET", "/readyz", {}))[0] == 503
        assert (await service.post([call(1)]))[0] == 503
        topics.away = False
        async with asyncio.timeout(PATIENCE_S):
            while (await service.post([call(1)], JSON | {"Idempotency-Key": "k-1"}))[0] != 202:
                await asyncio.sleep(0.05)
        assert len(topics.of("cdr")) == 1


@pytest.mark.parametrize(
    ("body", "headers", "wanted", "printed"),
    [
        (b"", JSON, 400, "empty"),
        (b"  \n", LINES, 400, "empty"),
        (b"[]", JSON, 400, "no record"),
        (b"[1,", JSON, 400, "truncated_json"),
        (b"[" * 5_000_000, JSON, 400, "too_deep"),  # 3.14 measures the stack
        (b"{}", {"Content-Type": "text/html"}, 415, "text/html"),
        (b"{}", {}, 415, "expected one of application/json"),
        (b"{}", JSON | {"Content-Encoding": "br"}, 415, "expected gzip, zstd"),
        (b"{}", JSON | {"Content-Encoding": "gzip"}, 400, "is not gzip"),
        (gzipped(b"{}")[:-9], JSON | {"Content-Encoding": "gzip"}, 400, "is not gzip"),
        (b"{}", JSON | {"Content-Encoding": "zstd"}, 400, "is not zstd"),
        (first_block(json.dumps(call(1)).encode() + b"\n"), LINES | {"Content-Encoding": "zstd"}, 400, "is not zstd"),
        (zstandard.compress(b"[]")[:-1], JSON | {"Content-Encoding": "zstd"}, 400, "is not zstd"),
        (b"", JSON | {"Content-Encoding": "zstd"}, 400, "is not zstd"),
        (b"{}", EVENTS, 400, "not an array"),
        *(
            (b"{}", JSON | {"Idempotency-Key": key}, 400, "Idempotency-Key: expected 1 to 255 visible ASCII characters")
            for key in ("a b", "x" * 256, "", "é")
        ),
        (b"{}", JSON | {"Idempotency-Key": "k-1", "idempotency-key": "k-2"}, 400, "Idempotency-Key: expected 1 to 255"),
        (b"{}", EVENT | {"ce-specversion": "1.0"}, 415, "expected application/json, or no header ce-specversion"),
        (lambda: gzipped(bytes(64 << 20)), JSON | {"Content-Encoding": "gzip"}, 413, "decompressed"),
        (lambda: zstandard.compress(bytes(512 << 20)), JSON | {"Content-Encoding": "zstd"}, 413, "decompressed"),
        (gzipped(b"") * 5_000 + b"x", JSON | {"Content-Encoding": "gzip"}, 413, "members"),
        (zstandard.compress(b"") * 20_000, JSON | {"Content-Encoding": "zstd"}, 413, "frames"),
        (b"[" + b"1," * 3_000_000 + b"1]", JSON, 413, "values"),
        (b"[" + b"1," * 5_000 + b"1]", JSON, 413, "5,001 records"),
        (b"\n" * 100_000 + b"1", LINES, 413, "lines"),
        (b"x" * (9 << 20), JSON, 413, "the body is too large"),
    ],
)  # fmt: skip
async def test_a_body_that_cannot_be_read_is_a_problem_and_writes_nothing(
    tmp_path, body: bytes | Callable[[], bytes], headers: dict[str, str], wanted: int, printed: str
) -> None:
    async with serving(tmp_path) as service:
        status, problem = await service.post(body if isinstance(body, bytes) else body(), headers)
        assert status == wanted, problem
        assert problem["status"] == wanted
        assert printed in problem["detail"]
        assert all(not log for log in service.topics.logs.values())
        assert await service.metric("callwarden_ingest_held_bytes") == 0


async def test_a_deep_record_among_others_is_rejected_alone(tmp_path) -> None:
    deep = b'{"x":' * 500 + b"1" + b"}" * 500
    async with serving(tmp_path) as service:
        status, answer = await service.post(b"[" + deep + b"," + json.dumps(call(1)).encode() + b"]")
        assert (status, answer["accepted"], answer["rejections"][0]["code"]) == (202, 1, "too_deep")


BAD = call(2, source="half of \ud83d")
HALF = json.dumps(BAD).encode()
WHITE = b"\r\n\t "


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (json.dumps([BAD, call(1)]).encode(), JSON),
        (
            WHITE.join(
                [b"", b"[", '{"source": "，",'.encode(), json.dumps(call(1)).encode()[1:], b",", HALF, b"]", b""]
            ),
            JSON,
        ),
        (json.dumps([event(BAD), event(call(1))]).encode(), EVENTS),
    ],
)
async def test_half_a_surrogate_pair_in_one_record_does_not_reject_the_others(
    tmp_path, body: bytes, headers: dict[str, str]
) -> None:
    async with serving(tmp_path) as service:
        status, answer = await service.post(body, headers)
        assert (status, answer["accepted"], answer["rejections"][0]["code"]) == (202, 1, "lone_surrogate")
        [written] = service.topics.of("cdr")
        assert written.value in body
        assert json.loads(written.value)["call_id"] == "c-1"


async def test_an_array_with_half_a_surrogate_pair_is_split_within_limits(tmp_path) -> None:
    async with serving(tmp_path) as service:
        status, problem = await service.post(b"[" + HALF + b",1" * 100_000 + b"]")
        assert (status, problem["detail"]) == (413, "the request has more than 2,000 records; expected fewer")
        deep = b"," + b"[" * 900 + b"]" * 900
        status, problem = await service.post(b"[" + HALF + deep * 1_000 + b"]")
        assert (status, problem["type"]) == (400, "urn:callwarden:problem:bad-request")


@pytest.mark.parametrize("rest", [b"", b",", b"]]", b" 1]", b",]", b",1]x", b"}"])
async def test_an_array_with_half_a_surrogate_pair_must_be_an_array(tmp_path, rest: bytes) -> None:
    async with serving(tmp_path) as service:
        status, problem = await service.post(b"[" + HALF + rest)
        assert (status, problem["type"]) == (400, "urn:callwarden:problem:bad-request")
        assert all(not log for log in service.topics.logs.values())


async def test_dead_letters_are_limited_by_token(tmp_path) -> None:
    async with serving(tmp_path) as service:
        for _ in range(2):
            status, answer = await service.post(b"\n".join([b"{}"] * 2_000), LINES)
            assert (status, answer["rejected"]) == (422, 2_000)
        assert 2_000 <= len(service.topics.of("dead-letter")) < 3_000
        kept = len(service.topics.of("dead-letter"))
        assert await service.metric("callwarden_ingest_letters_dropped_total") == 4_000 - kept
        assert (await service.post([{}], token=NARROW))[0] == 422
        assert len(service.topics.of("dead-letter")) == kept + 1


async def test_what_is_under_way_holds_no_more_than_the_limit(tmp_path) -> None:
    async with serving(tmp_path) as service:
        service.topics.acknowledges.clear()
        body = json.dumps([call(n, source="x" * 4_000) for n in range(1_500)]).encode()
        most = (64 << 20) // len(body)
        asked = [asyncio.create_task(service.post(body)) for _ in range(20)]
        answers = await answered(asked, 20 - most, service.topics.acknowledges)
        assert {status for status, _ in answers} == {202, 503}
        assert any("hold" in answer.get("detail", "") for _, answer in answers)
        assert sum(status == 202 for status, _ in answers) <= most


async def test_pages_that_are_not_there(tmp_path) -> None:
    async with serving(tmp_path) as service:
        for method, path, wanted in (("GET", "/v1/records", 405), ("POST", "/v1/other", 404), ("GET", "/docs", 404)):
            status, headers, problem = await service.ask(method, path, {"Authorization": f"Bearer {TOKEN}"})
            assert (status, headers["content-type"]) == (wanted, "application/problem+json")
            assert problem["status"] == wanted


def test_the_names_of_the_topics_are_those_of_the_contract() -> None:
    assert NAMES.output("ingest-keys") == "callwarden.ingest-keys"
