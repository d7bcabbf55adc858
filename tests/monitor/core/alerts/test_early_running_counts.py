"""After each early evaluation, the distinct counts that calls have changed are those of all keys."""

import random
from collections import Counter
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from helpers.early_evaluations import compare_everyone
from helpers.early_runs import EarlyRun, hovering_calls, pieces
from helpers.shard_harness import ShardHarness, rule
from helpers.shard_samples import T0, cdr, policy_of
from helpers.thorough import thorough
from monitor.core.alerts.early_alerts import EarlyAlerts
from monitor.core.alerts.recent_calls import _Asked
from monitor.core.windows.distinct import native_running
from monitor.core.windows.distinct.count_names import UNFINISHED
from monitor.core.windows.distinct.early_distinct_counts import CHANGED, EXTRA, EarlyDistinctCounts
from monitor.core.windows.distinct.key_counts import levels_of
from monitor.core.windows.distinct.pane_distinct_counts import PaneDistinctCounts
from monitor.policy.model import Policy
from schemas import codec

pytestmark = pytest.mark.skipif(
    not native_running.built(), reason="the extension is not built: no C compiler (`.ci/run` requires it)"
)


@pytest.fixture(autouse=True)
def many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tenants need not have many attempts to get running counts."""
    monkeypatch.setattr("monitor.core.windows.distinct.early_distinct_counts._MANY", 0)


RULES: tuple[dict[str, Any], ...] = (
    rule("again", metric="callee_over_limit", above=1, window="5m", step="5m", **{"with": {"callee_limit": 3}}),
    rule("sequence", metric="sequential_ratio", above=0.4, min_denominator=5, window="15m", step="5m"),
    rule("blocks", metric="block_ratio", above=0.4, min_denominator=5, window="15m", step="5m"),
    rule("consent", metric="consent_peak", above=4, window="1h", step="15m"),
    rule("callers", metric="callers", above=6, window="10m", step="5m"),
    rule("peak", metric="callee_peak", above=5, window="1h", step="15m"),
)


def compare(counts: EarlyDistinctCounts) -> int:
    """Compare the running counts with those of all keys. Returns of how many tenants there are some."""
    running, values = counts._running, counts._table.values
    if running is None:
        return 0
    every = np.arange(len(values))
    who = every[running.of(every) & (values[:, counts.first + EXTRA] + 1 != CHANGED)]
    if not len(who):
        return 0
    coming = counts._opened(np.isin(every, who))
    inside = {} if isinstance(counts._distinct, PaneDistinctCounts) else counts._distinct.levels
    levels = inside | {tenant: max(level, inside.get(tenant, 0)) for tenant, level in levels_of(coming).items()}
    # Another level, because calls were summed up after the evaluation, is found by the next one.
    who = np.array([one for one in who.tolist() if levels.get(one, 0) == running._level[running._row[one]]], np.intp)
    if len(who):
        expected = counts._distinct.ahead(who, coming, counts._start_ms)
        for name in counts._columns:
            if name != UNFINISHED:  # an upper bound, which is not always the same
                assert values[who, counts.column(name)].tolist() == expected[name].tolist(), name
    return len(who)


@pytest.mark.parametrize("seed", thorough(range(24), 4))
def test_counts_that_calls_change_are_those_of_all_keys(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    print(f"seed {seed}")
    rng, compared = random.Random(seed), 0
    for module in ("distinct_counts", "key_counts"):
        exact_keys = rng.choice((12, 12, 32_768))
        monkeypatch.setattr(f"monitor.core.windows.distinct.{module}.EXACT_KEYS", exact_keys)
    evaluate = EarlyAlerts.evaluate

    def evaluate_and_compare(alerts: EarlyAlerts, closed_ms: int) -> None:
        nonlocal compared
        evaluate(alerts, closed_ms)
        alerts._windows._recent._asked = _Asked.nobody()  # calls may have been summed up since they were asked for
        for early_window in alerts._windows:
            compared += sum(map(compare, early_window.distinct.values()))

    monkeypatch.setattr(EarlyAlerts, "evaluate", evaluate_and_compare)
    run = EarlyRun(policy(rng), list(pieces([hovering_calls(rng, 600)], rng)), seed)
    run.alerts_of_everyone(afresh=False)
    assert compared > 300


def policy(rng: random.Random) -> Policy:
    """The rules, with calls that may come late by a minute or more."""
    return policy_of(rules=list(RULES), defaults={"lateness": f"{rng.choice((1, 5, 20))}m"})


def test_the_keys_of_a_tenant_are_counted_twice_however_often_it_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = []
    count = EarlyDistinctCounts._set

    def set_and_note(counts: EarlyDistinctCounts, who: Any, found: Any) -> None:
        counted.append(counts._start_ms)
        count(counts, who, found)

    monkeypatch.setattr(EarlyDistinctCounts, "_set", set_and_note)
    one = cdr(answer_ms=T0, outcome="answered")
    lines = [codec.encode(replace(one, call_id=f"{at}", end_ms=at)) for at in range(T0 + 1_000, T0 + 41_000, 1_000)]
    run = EarlyRun(policy_of(rules=[RULES[0]]), [(0, [line]) for line in lines], seed=1)
    run.alerts_of_everyone(afresh=False)
    assert set(Counter(counted).values()) == {2}


def test_tenants_that_are_seldom_counted_get_no_running_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenant with one attempt, then two, is counted twice: often enough or not, with enough attempts or not."""
    monkeypatch.setattr("monitor.core.windows.distinct.early_distinct_counts._OFTEN", 4)
    for between, many, kept in ((2, 1, True), (2, 2, False), (3, 1, False), (9, 1, False)):
        monkeypatch.setattr("monitor.core.windows.distinct.early_distinct_counts._MANY", many)
        harness = ShardHarness(rules=[RULES[0]])
        with pytest.MonkeyPatch.context() as patch:
            compare_everyone(patch)
            for tenant in ("acme", *["other"] * between, "acme"):
                harness.short_calls(1, tenant=tenant)
                harness.shard.early()
        (early_window,) = (one for one in harness.shard.early_alerts._windows if one.distinct["callees"]._counted_at)
        counts = early_window.distinct["callees"]
        assert (counts._running is not None and bool(counts._running.of(np.array([0]))[0])) is kept


def test_it_is_not_remembered_for_long_when_tenants_were_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitor.core.windows.distinct.early_distinct_counts._OFTEN", 4)
    compare_everyone(monkeypatch)
    harness = ShardHarness(rules=[RULES[0]])
    for number in range(40):
        harness.short_calls(1, tenant=f"t{number}")
        harness.shard.early()
    remembered = [len(one.distinct["callees"]._counted_at) for one in harness.shard.early_alerts._windows]
    assert 0 < max(remembered) <= 8


@pytest.mark.parametrize("most", [20, 100])
def test_all_windows_together_keep_a_bounded_number_of_keys(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenant whose counts were removed gets none again: it would have as many keys again at once."""
    monkeypatch.setattr("monitor.core.alerts.early_windows._MOST_RUNNING_KEYS", most)
    evaluate, kept = EarlyAlerts.evaluate, []

    def evaluate_and_note(alerts: EarlyAlerts, closed_ms: int) -> None:
        evaluate(alerts, closed_ms)
        kept.append([one.running_keys for window in alerts._windows for one in window.distinct.values()])

    monkeypatch.setattr(EarlyAlerts, "evaluate", evaluate_and_note)
    one = cdr(answer_ms=T0, outcome="answered")
    lines = [codec.encode(replace(one, call_id=f"{n}", callee=f"+8613800{n:06}", end_ms=T0 + n)) for n in range(60)]
    run = EarlyRun(policy_of(rules=[RULES[0], RULES[4] | {"window": "5m"}]), [(0, [line]) for line in lines], seed=1)
    run.alerts_of_everyone(afresh=False)
    sums = [sum(each) for each in kept]
    assert max(sums) > 15
    assert max(sums) <= most
    assert (sums[-1] > 15) is (most == 100)
