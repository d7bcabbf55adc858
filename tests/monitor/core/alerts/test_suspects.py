"""Evaluating only the tenants that may cross gives the alerts that evaluating all of them gives, at the same time."""

import json
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from helpers.shard_harness import rule
from helpers.shard_samples import MINUTE, T0, cdr, policy_of
from helpers.thorough import thorough
from monitor.core.alerts.suspects import Suspects
from monitor.partition.checkpoint import DecidingSettings
from monitor.partition.record_batch import RecordBatch
from monitor.partition.task import StreamTask
from monitor.policy.load import loads
from monitor.policy.model import Policy
from oracle.scenario_generator import lines_of, scenario
from schemas import codec

Fed = tuple[int, list[bytes]]


def start_over(task: StreamTask) -> None:
    """Let the next early evaluation begin with all tenants and all open calls, as after a restart."""
    task.shard.open_panes._new_calls = None


def alerts_of(policy: Policy, fed: list[Fed], seed: int, sources: int, not_after_ms: int, full: bool) -> list[bytes]:
    """The alerts after each early evaluation, as one text each. ``full``: each evaluation covers everything."""
    rng = random.Random(seed)
    task = StreamTask(policy, live=DecidingSettings(max_ahead_ms=0), sources=sources)
    at, found = [0] * sources, []
    for source, lines in fed:
        start, stop = at[source], at[source] + len(lines)
        stamps = np.full(len(lines), not_after_ms)
        task.feed(source, RecordBatch(start, stop, np.arange(start, stop), stamps, lines))
        at[source] = stop
        if rng.random() < 0.5:
            task.advance()
        if rng.random() < 0.6:
            if full:
                start_over(task)
            task.early()
            found.append(b"\n".join(map(codec.encode, task.take().output.alerts)))
        task.take()
    return found


def pieces(files: list[list[bytes]], rng: random.Random) -> Iterator[Fed]:
    at = [0] * len(files)
    while any(place < len(lines) for place, lines in zip(at, files, strict=True)):
        source = rng.choice([n for n, lines in enumerate(files) if at[n] < len(lines)])
        stop = at[source] + rng.choice((1, 1, 2, 7, 30))
        yield source, files[source][at[source] : stop]
        at[source] = min(stop, len(files[source]))


@pytest.mark.parametrize("seed", thorough(range(100, 160), 12))
def test_alerts_of_random_policies_are_those_of_full_evaluations(seed: int) -> None:
    print(f"seed {seed}")
    made = scenario(seed, size=150)
    files = lines_of(made)
    policy = loads(json.dumps(made.policy), "policy.json")
    fed = list(pieces(files, random.Random(seed)))
    one, other = (alerts_of(policy, fed, seed, len(files), made.not_after_ms, full) for full in (False, True))
    assert one == other


HOVERING = (
    rule("ratio", above=0.5, min_denominator=10, window="1h", step="5m"),
    rule("sure", above=0.3, min_denominator=10, confidence=0.95, window="1h", step="5m"),
    rule("again", metric="callee_over_limit", above=1, window="5m", step="5m", **{"with": {"callee_limit": 3}}),
    rule("peak", metric="callee_peak", above=5, window="1h", step="15m"),
    rule("sequence", metric="sequential_ratio", above=0.4, min_denominator=5, window="1h", step="15m"),
    rule("blocks", metric="block_ratio", above=0.4, min_denominator=5, window="1h", step="15m"),
    rule("consent", metric="consent_peak", above=4, window="1h", step="15m"),
    rule("few", metric="distinct_callee_ratio", window="1h", step="15m", min_denominator=10, below=0.5),
    rule("callers", metric="callers", above=6, window="1h", step="15m"),
)


def hovering_calls(rng: random.Random, count: int) -> list[bytes]:
    """Calls of tenants that stay near the thresholds of `HOVERING`, most of them below."""
    lines, now = [], T0
    for number in range(count):
        now += rng.choice((0, 1, 300, 2_000, 20_000))
        at = now - rng.choice((0, 0, 0, 60_000))
        talk = rng.choice((1_000, 1_000, 60_000, 60_000, 60_000))
        answered = rng.random() < 0.7
        times: dict[str, Any] = {"start_ms": at - talk, "end_ms": at}
        if answered:
            times |= {"answer_ms": at - talk, "outcome": "answered", "consent_id": f"c{rng.randrange(40)}"}
        callee = f"+86138{rng.choice((rng.randrange(12), rng.randrange(300), rng.randrange(10**6))):08}"
        tenant, caller = f"t{rng.randrange(6)}", f"+8610{rng.randrange(7)}"
        lines.append(codec.encode(cdr(call_id=f"{number}", tenant_id=tenant, callee=callee, caller=caller, **times)))
    return lines


@pytest.mark.parametrize("seed", thorough(range(20), 4))
def test_tenants_that_hover_at_thresholds_alert_as_in_full_evaluations(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    print(f"seed {seed}")
    monkeypatch.setattr("monitor.core.alerts.recent_calls._MOST", 100)
    rules = [{key: value for key, value in one.items() if not (key == "above" and "below" in one)} for one in HOVERING]
    policy = policy_of(rules=rules)
    fed = list(pieces([hovering_calls(random.Random(seed), 1_200)], random.Random(seed)))
    one, other = (alerts_of(policy, fed, seed, 1, 2**41, full) for full in (False, True))
    assert one == other
    assert sum(map(bool, one)) > 3


def test_a_tenant_far_from_each_threshold_is_not_compared_at_each_call(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[int] = []
    compare = Suspects._compare
    monkeypatch.setattr(
        Suspects, "_compare", lambda self, bounds, who, found: compared.extend(who) or compare(self, bounds, who, found)
    )
    task = StreamTask(policy_of(rules=[rule("ratio", min_denominator=50, window="1h", step="1h")]), sources=1)
    lines = [
        codec.encode(cdr(call_id=f"{n}", start_ms=T0 + n, end_ms=T0 + n + MINUTE, answer_ms=T0 + n, outcome="answered"))
        for n in range(120)
    ]
    for number, line in enumerate(lines):
        task.feed(0, RecordBatch(number, number + 1, np.array([number]), np.array([2**41]), [line]))
        task.early()
    assert len(compared) < 12, "at the first call, at the fiftieth, and then ever more rarely"
