"""Call ids that are reused once forgotten: evidence equals the oracle's, without repeated ids, also for seconds."""

import json
import random
from typing import Any

import pytest

from oracle import judge
from oracle.compare import as_output, differences
from oracle.policy_generator import HOUR
from oracle.product import run
from oracle.scenario_generator import MARCH_2

SPAN = 3 * HOUR
METRICS = (("acd_s", 20), ("pdd_s", 2), ("short_call_ratio", 0.4), ("asr", 0.5), ("attempts", 10))


def rules() -> list[dict[str, Any]]:
    behaviours = ("blind_calling", "no_consent")
    return [
        {
            "id": f"{metric}-{direction}",
            "behaviour": behaviours[number % 2],
            "metric": metric,
            direction: limit,
            "window": "1h" if number % 2 else "30m",
            "step": "10m",
            "mode": "shadow",
        }
        for number, (metric, limit) in enumerate(METRICS)
        for direction in ("above", "below")
    ]


def calls(rng: random.Random, count: int, ids: int) -> list[str]:
    made = []
    for end in sorted(rng.randrange(MARCH_2, MARCH_2 + SPAN) for _ in range(count)):
        answer = end - rng.choice((0, 3_000, 45_000)) if rng.random() < 0.6 else None
        ring = (answer or end) - rng.choice((0, 500, 6_000)) if rng.random() < 0.7 else None
        made.append(
            {
                "type": "cdr",
                "call_id": f"c{rng.randrange(ids)}",
                "tenant_id": rng.choice(("acme", "bravo")),
                "direction": "outbound",
                "caller": "+8619000000001",
                "callee": "+8613800000001",
                "start_ms": (ring or answer or end) - 1_000,
                "ring_ms": ring,
                "answer_ms": answer,
                "end_ms": end,
                "outcome": "no_answer" if answer is None else "answered",
            }
        )
    return [json.dumps(one) for one in made]


@pytest.mark.parametrize("ids", [4, 15, 60])
def test_ids_that_come_again_are_evidence_once(ids: int) -> None:
    rng = random.Random(ids)
    policy: dict[str, Any] = {"id": "test", "version": "1", "escalations": [], "rules": rules()}
    policy["defaults"] = {"lateness": "1m"}
    switched = policy | {"version": "2", "rules": policy["rules"][::-1]}
    how: dict[str, Any] = {"switches": [(MARCH_2 + HOUR, switched)]}
    lines = calls(rng, 400, ids)
    expected = as_output(judge([lines], policy, **how))
    actual = run([lines], policy, piece_lines=rng.choice((7, 5_000)), **how)
    assert differences(expected, actual)[:5] == []
    evidence = {rule["id"]: [] for rule in rules()}
    for event in actual["shadow"]:
        evidence[event["rule_id"]].append(event["evidence"]["call_ids"])
    for found in evidence.values():
        assert all(len(set(names)) == len(names) for names in found)
    for metric in ("acd_s", "pdd_s"):
        named = [names for side in ("above", "below") for names in evidence[f"{metric}-{side}"]]
        assert named
        assert all(named), f"a decision on {metric} names no call"
    assert len(max((names for found in evidence.values() for names in found), key=len)) == min(ids, 20)
