"""No key is used more often after a restart than the count of uses is above what it was before."""

import random
from collections import Counter, defaultdict

import numpy as np
import pytest

from monitor.core.calls.fields import BIT
from monitor.core.calls.new_calls import NewCalls
from monitor.core.windows.distinct import native_uses
from monitor.core.windows.distinct.key_uses import SETS, KeyUses

TENANTS = 4
BUSY = 3  # the tenant that makes most calls


def some_calls(rng: random.Random, count: int, keys: int) -> NewCalls:
    calls = NewCalls.room(count)
    for column in calls:
        column[:] = 0
    for row in range(count):
        calls.tenant[row] = rng.choice((*range(TENANTS), BUSY, BUSY))
        calls.word[row] = rng.choice((0, 1 << BIT["attempts"], 1 << BIT["attempts"] | 1 << BIT["answered"]))
        for column in (calls.callee_key, calls.caller_key, calls.consent_key):
            column[row] = rng.randrange(keys) * 0x1234567 % (1 << 63)
    return calls


@pytest.fixture(params=["extension", "numpy"], autouse=True)
def counting(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "extension" and not native_uses.built():
        pytest.skip("the extension is not built")
    monkeypatch.setattr(native_uses, "enabled", request.param == "extension")


@pytest.mark.parametrize("seed", range(20))
def test_the_count_bounds_how_often_a_key_is_used(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    print(f"seed {seed}")
    monkeypatch.setattr("monitor.core.windows.distinct.key_uses._MOST_OFTEN", 1)
    monkeypatch.setattr("monitor.core.windows.distinct.key_uses._OFTEN", 12)
    rng = random.Random(seed)
    uses = KeyUses()
    uses.reach(TENANTS)
    keys = rng.choice((1, 2, 10, 1_000, 100_000))
    # For each set and tenant: the uses of each key since each restart, and the count before.
    since: dict[tuple[int, int], list[tuple[int, Counter[int]]]] = defaultdict(list)
    for place in range(len(SETS)):
        for tenant in range(TENANTS):
            since[place, tenant].append((0, Counter()))
    last = uses.count(np.arange(TENANTS))
    for _ in range(60):
        if rng.random() < 0.5:
            who = np.array(sorted(rng.sample(range(TENANTS), rng.randint(1, TENANTS))))
            place = rng.randrange(len(SETS))
            before = uses.restart(SETS[place], who)
            for tenant, count in zip(who.tolist(), before.tolist(), strict=True):
                since[place, tenant].append((count, Counter()))
        calls = some_calls(rng, rng.choice((1, 3, 40, 300)), keys)
        uses.add(calls)
        for row in range(len(calls.tenant)):
            for place, (column, bit) in enumerate(
                ((calls.callee_key, "attempts"), (calls.caller_key, "attempts"), (calls.consent_key, "answered"))
            ):
                if int(calls.word[row]) & 1 << BIT[bit]:
                    for _, counter in since[place, int(calls.tenant[row])]:
                        counter[int(column[row])] += 1
        count = uses.count(np.arange(TENANTS))
        assert (count >= last).all()
        last = count
        for (place, tenant), marks in since.items():
            for before_then, counter in marks:
                assert max(counter.values(), default=0) <= count[place, tenant] - before_then


def test_keys_that_a_tenant_chooses_do_not_share_a_counter() -> None:
    """Steps of this Fibonacci number hardly move the upper bits of a product by a golden ratio, a public multiplier."""
    calls = NewCalls.room(40)
    for column in calls:
        column[:] = 0
    calls.word[:] = 1 << BIT["attempts"]
    uses = KeyUses()
    uses.reach(TENANTS)
    for batch in range(20):
        calls.callee_key[:] = (np.arange(40, dtype=np.uint64) + np.uint64(40 * batch)) * np.uint64(102_334_155)
        uses.add(calls)
    assert uses.count(np.arange(1))[0, 0] < 100, "of 800 calls to as many numbers"


def test_uses_of_different_keys_hardly_add_up() -> None:
    rng = random.Random(1)
    uses = KeyUses()
    uses.reach(TENANTS)
    for _ in range(100):
        uses.add(some_calls(rng, 30, 1 << 40))
    assert uses.count(np.arange(TENANTS))[0].max() < 60, "of 1,200 calls, half of them by one tenant"
    uses.add(some_calls(rng, 300, 1 << 40))
    before = uses.count(np.arange(TENANTS))[0, BUSY]
    for _ in range(100):
        uses.add(some_calls(rng, 30, 1 << 40))
    assert uses.count(np.arange(TENANTS))[0, BUSY] - before < 10, "a tenant that calls often has more counters"


def test_of_many_that_call_often_at_once_those_with_most_calls_have_more_counters() -> None:
    often, most = 100, 164
    tenants = np.repeat(np.arange(most), [200] * often + [1_000] * (most - often))
    np.random.default_rng(1).shuffle(tenants)
    calls = NewCalls.room(len(tenants))
    for column in calls:
        column[:] = 0
    calls.tenant[:], calls.word[:] = tenants, 1 << BIT["attempts"]
    keys = random.Random(3)
    uses = KeyUses()
    uses.reach(most)
    for _ in range(2):
        calls.callee_key[:] = [keys.getrandbits(64) for _ in tenants]
        before = uses.count(np.arange(most))[0]
        uses.add(calls)
    risen = uses.count(np.arange(most))[0] - before
    assert risen[often:].max() < 10, "of 1,000 calls to as many numbers: they share 4,096 counters"
    assert risen[:often].max() >= 7, "of 200 calls: they share 64"
