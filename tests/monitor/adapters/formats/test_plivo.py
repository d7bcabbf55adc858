"""The format of Plivo, field by field, on made-up samples of the real structure."""

import pytest
from adapter_rows import fields
from format_rows import reason
from platform_records import plivo


def test_a_call_of_plivo_is_read_with_its_account() -> None:
    assert fields("plivo", f'{{"api_id": "x", "objects": [{plivo()}]}}') == {
        "call_id": "p-1",
        "tenant_id": "MAXXXXXXXXXXXXXXXXXX",
        "direction": "outbound",
        "caller": "+12125550111",
        "callee": "+13125550199",
        "start_ms": 0,
        "answer_ms": 8_000,
        "end_ms": 13_000,
        "outcome": "answered",
        "hangup_by": "callee",
        "source": "plivo",
    }


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (3000, "no_answer"),
        (3010, "busy"),
        (3020, "rejected"),
        (2000, "invalid_number"),
        (5010, "failed"),
        (None, "failed"),
    ],
)
def test_a_hangup_cause_of_plivo_has_its_outcome(code: int | None, outcome: str) -> None:
    assert fields("plivo", plivo(answer_time=None, hangup_cause_code=code))["outcome"] == outcome
    assert reason("plivo", plivo(parent_call_uuid="p-0")).startswith("internal_leg: ")
