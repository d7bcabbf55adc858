"""No key is used more often between two moments than the repeats rise, plus once."""

import random
from collections import Counter

import pytest

from monitor.core.calls.fields import BIT
from monitor.core.calls.new_calls import NewCalls
from monitor.core.windows.distinct.repeats import SETS, Repeats

TENANTS = 3


def some_calls(rng: random.Random, count: int, keys: int) -> NewCalls:
    calls = NewCalls.room(count)
    for column in calls:
        column[:] = 0
    for row in range(count):
        calls.tenant[row] = rng.randrange(TENANTS)
        calls.word[row] = rng.choice((0, 1 << BIT["attempts"], 1 << BIT["attempts"] | 1 << BIT["answered"]))
        for column in (calls.callee_key, calls.caller_key, calls.consent_key):
            column[row] = rng.randrange(keys) * 0x1234567 % (1 << 63)
    return calls


@pytest.mark.parametrize("seed", range(20))
def test_repeats_bound_how_often_a_key_is_used(seed: int) -> None:
    print(f"seed {seed}")
    rng = random.Random(seed)
    repeats = Repeats()
    repeats.reach(TENANTS)
    keys = rng.choice((2, 10, 1_000, 100_000))
    used: list[dict[tuple[int, str], Counter[int]]] = []
    marks = []
    for _ in range(30):
        calls = some_calls(rng, rng.choice((1, 3, 40)), keys)
        marks.append(repeats.count.copy())
        used.append({})
        for row in range(len(calls.tenant)):
            for which, column, bit in (
                ("callees", calls.callee_key, "attempts"),
                ("callers", calls.caller_key, "attempts"),
                ("consents", calls.consent_key, "answered"),
            ):
                if int(calls.word[row]) & 1 << BIT[bit]:
                    for counts in used:
                        counts.setdefault((int(calls.tenant[row]), which), Counter())[int(column[row])] += 1
        repeats.add(calls)
    for mark, counts in zip(marks, used, strict=True):
        for (tenant, which), of_keys in counts.items():
            place = SETS.index(which)
            assert max(of_keys.values()) <= 1 + repeats.count[place, tenant] - mark[place, tenant]


def test_different_keys_hardly_count_as_repeats() -> None:
    rng = random.Random(1)
    repeats = Repeats()
    repeats.reach(TENANTS)
    for _ in range(100):
        repeats.add(some_calls(rng, 30, 1 << 40))
    assert repeats.count[0].max() < 300, "of 600 calls"
