"""Numbers of up to 64 characters, and whether their neighbours were called, counted like the oracle."""

import json
import random
from typing import Any

import pytest

from oracle import judge
from oracle.compare import as_output, differences
from oracle.policy_generator import MINUTE
from oracle.product import run
from oracle.scenario_generator import MARCH_2

# Numbers around carries of digits, and around 60 to 64 bits.
CENTRES = (
    *(10**digits for digits in (1, 2, 18, 19, 20, 21, 37, 38, 40, 62)),
    *(2**64 * times + offset for times in (1, 2, 3, 10**10, 10**40) for offset in (0, 7)),
    *(2**bits for bits in (60, 63, 65, 128, 200)),
    123_456_789 * 10**19,
    123_456_789 * 10**18 - 1,
)


def numbers(rng: random.Random, count: int) -> list[str]:
    """Numbers of few lengths close to each other, sometimes with leading zeros or a plus; some are invalid."""
    found = []
    for _ in range(count):
        number = rng.choice(CENTRES) + rng.randint(-2, 2)
        written = str(number).zfill(rng.choice((0, 19, 20, 21, 40, 63)))
        found.append(rng.choice(("", "", "+")) + written)
    return [text[:64] if len(text) <= 64 else text[:60] + "-no" for text in [*found, "who", "+", "²" * 20]]


@pytest.mark.parametrize("seed", range(3))
def test_long_numbers_and_their_neighbours_are_counted_as_the_oracle_counts_them(seed: int) -> None:
    print(f"seed {seed}")
    rng = random.Random(seed)
    rule = {"behaviour": "blind_calling", "step": "5m", "mode": "shadow"}
    limits: dict[str, Any] = {"sequential_ratio": 0.1, "distinct_callee_ratio": 0.1, "callee_over_limit": 2}
    rules = [
        {"id": f"{metric}-{window}", "metric": metric, "above": limit, "window": window, **rule}
        for metric, limit in limits.items()
        for window in ("5m", "30m")
    ]
    policy = {"id": "test", "version": "1", "escalations": [], "rules": rules}
    pool = numbers(rng, 250)
    lines = [
        json.dumps(
            {
                "type": "cdr",
                "call_id": f"c{serial}",
                "tenant_id": rng.choice(("acme", "bravo")),
                "direction": "outbound",
                "caller": rng.choice(pool),
                "callee": rng.choice(pool),
                "start_ms": MARCH_2 + serial * MINUTE // 6,
                "end_ms": MARCH_2 + serial * MINUTE // 6,
                "outcome": "no_answer",
            }
        )
        for serial in range(500)
    ]
    expected = as_output(judge([lines], policy))
    sequential = [one for one in expected["windows"] if one["metric"] == "sequential_ratio"]
    assert max(one["numerator"] for one in sequential) > 5
    assert differences(expected, run([lines], policy))[:5] == []
