"""What an alert says that is over although its value may still be beyond the threshold: why it is not judged."""

from typing import Any

import pytest

from oracle.product import run
from oracle.scenario_generator import DAY, HOUR, MARCH_2

SOME: dict[str, Any] = {
    "id": "some", "behaviour": "blind_calling", "metric": "attempts", "above": 3, "window": "24h", "step": "1h",
}  # fmt: skip
UNTIL = {"owner": "ops", "reason": "for the test", "expires": "2026-03-09"}
EXEMPT = {"exemptions": [{"tenant": "acme", "rules": ["some"], **UNTIL}]}
ONLY_NEW = {"rules": [SOME | {"first": "6h"}]}
NOT_JUDGED = ("该规则目前不适用于该租户", "the rule does not apply to this tenant now")


def policy(version: str, **changes: Any) -> dict[str, Any]:
    return {"id": "test", "version": version, "escalations": [], "rules": [SOME]} | changes


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        ({}, EXEMPT, NOT_JUDGED),
        (ONLY_NEW, ONLY_NEW, NOT_JUDGED),
        ({}, {"rules": []}, ("策略中已没有该规则", "the policy no longer has the rule")),
    ],
)
def test_the_reason_does_not_say_that_there_are_no_records(
    before: dict[str, Any], after: dict[str, Any], why: tuple[str, str]
) -> None:
    call = {
        "type": "cdr",
        "tenant_id": "acme",
        "direction": "outbound",
        "outcome": "busy",
        "caller": "1",
        "callee": "2",
    }
    calls = [call | {"call_id": f"c{n}", "start_ms": MARCH_2 + n, "end_ms": MARCH_2 + n} for n in range(5)]
    clock = {"type": "tenant", "tenant_id": "clock", "declared_businesses": [], "numbers": []}
    lines = [*calls, clock | {"updated_ms": MARCH_2 + DAY // 2}]
    switches = [(MARCH_2 + 3 * HOUR, policy("2", **after))]
    alerts = run([lines], policy("1", **before), switches=switches)["alerts"]
    last = alerts[-1]
    assert [each["state"] for each in alerts] == ["firing", "resolved"]
    assert last["reason"]["zh"].startswith(f"预警解除：{why[0]}；")
    assert last["reason"]["en"].startswith(f"Alert over: {why[1]}; clause 6: ")
