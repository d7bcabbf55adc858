"""Webhooks of Vonage make calls, field by field, on made-up samples of the real structure."""

import itertools
from typing import Any

import pytest
from adapter_rows import fields
from event_rows import lines


def vonage(status: str, time: str, **changes: Any) -> dict[str, Any]:
    return {
        "uuid": "63f61863-4a51-4f6b-86e1-46edebcf9356",
        "conversation_uuid": "CON-f972836a",
        "application_id": "acme",
        "status": status,
        "direction": "outbound",
        "from": "12025550111",
        "to": "447700900000",
        "timestamp": f"2026-03-02T01:30:{time}Z",
    } | changes


COMPLETED = vonage(
    "completed",
    "13.950",
    start_time="2026-03-02T01:30:08.000Z",
    end_time="2026-03-02T01:30:13.000Z",
    duration="5",
    price="0.01",
    disconnected_by="user",
)
VONAGE = [
    vonage("started", "00.050"),
    vonage("ringing", "02.100"),
    vonage("answered", "08.400", start_time=None),
    vonage("machine", "10.000"),
    COMPLETED,
]


@pytest.mark.parametrize("order", list(itertools.permutations(range(5)))[::7])
def test_the_webhooks_of_a_uuid_are_a_call(order: tuple[int, ...]) -> None:
    assert fields("vonage", lines([VONAGE[n] for n in order])) == {
        "call_id": "63f61863-4a51-4f6b-86e1-46edebcf9356",
        "tenant_id": "acme",
        "direction": "outbound",
        "caller": "+12025550111",
        "callee": "+447700900000",
        "start_ms": 50,
        "ring_ms": 2_100,
        "answer_ms": 8_400,
        "end_ms": 13_950,
        "outcome": "answered",
        "answered_by": "machine",
        "source": "vonage",
    }


def test_the_last_webhook_alone_is_a_call() -> None:
    found = fields("vonage", lines([COMPLETED | {"disconnected_by": "platform"}]))
    assert (found["start_ms"], found["answer_ms"], found["end_ms"]) == (8_000, 8_000, 13_950)
    assert (found["outcome"], found["hangup_by"]) == ("answered", "system")


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("busy", "busy"),
        ("cancelled", "cancelled"),
        ("unanswered", "no_answer"),
        ("timeout", "no_answer"),
        ("rejected", "rejected"),
        ("failed", "failed"),
    ],
)
def test_a_status_of_vonage_has_its_outcome(status: str, expected: str) -> None:
    found = fields("vonage", lines([*VONAGE[:2], vonage(status, "31.000")]))
    assert (found["outcome"], found["end_ms"], found.get("answer_ms")) == (expected, 31_000, None)
    empty = vonage("completed", "31.500", start_time=None)
    assert fields("vonage", lines([*VONAGE[:2], vonage(status, "31.000"), empty]))["outcome"] == expected


@pytest.mark.parametrize(
    ("status", "detail", "expected"),
    [
        ("rejected", "declined", "rejected"),
        ("rejected", "invalid_number", "invalid_number"),
        ("rejected", "restricted", "failed"),
        ("failed", "number_out_of_service", "invalid_number"),
        ("failed", "cannot_route", "failed"),
        ("failed", "internal_error", "failed"),
        ("unanswered", "timeout", "no_answer"),
        ("unanswered", "unavailable", "unreachable"),
    ],
)
def test_the_detail_of_a_status_says_who_refused(status: str, detail: str, expected: str) -> None:
    last = vonage(status, "31.000", detail=detail)
    assert fields("vonage", lines([VONAGE[0], last]))["outcome"] == expected
    rang = {"unreachable": "no_answer"}.get(expected, expected)
    assert fields("vonage", lines([*VONAGE[:2], last]))["outcome"] == rang


def test_a_call_of_vonage_without_an_end_was_not_answered() -> None:
    assert fields("vonage", lines(VONAGE[:2]))["outcome"] == "no_answer"
    assert fields("vonage", lines(VONAGE[:1]))["outcome"] == "failed"
