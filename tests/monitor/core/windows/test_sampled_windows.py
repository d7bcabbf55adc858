"""Windows with distinct counts in a replay with a low limit of exact counting: exactness and restarts."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec
import numpy as np
import pytest

from helpers.shard_samples import DAY, MINUTE, T0, cdr, policy_of
from helpers.thorough import thorough
from monitor.partition.processing.task_output import TaskOutput
from monitor.partition.record_batch import RecordBatch
from monitor.partition.task import StreamTask
from monitor.policy.model import Policy
from monitor.replay.run import ReplayOptions, replay
from oracle.measures import Params, Seen, measure
from schemas import codec
from schemas.inputs import Cdr

EXACT = 100
LIMITS = {"callee_over_limit": 3, "callee_peak": 4, "callers": 60, "consent_peak": 30, "top_callee_share": 0.2}
LIMITS |= {"calls_per_caller": 1.01, "block_ratio": 0.01}


@contextmanager
def few_exact() -> Iterator[None]:
    """A low limit of exactly counted keys, which small inputs exceed."""
    with (
        patch("monitor.core.windows.distinct.distinct_counts.EXACT_KEYS", EXACT),
        patch("monitor.core.windows.distinct.key_counts.EXACT_KEYS", EXACT),
    ):
        yield


def rule(window: str, step: str, metric: str = "distinct_callee_ratio") -> dict[str, Any]:
    return {
        "id": f"r-{metric}-{window}-{step}",
        "behaviour": "blind_calling",
        "metric": metric,
        "above": LIMITS.get(metric, 0.9),
        "window": window,
        "step": step,
        "mode": "shadow",
        "with": {"callee_limit": 1},
    }


def calls(rng: random.Random, minutes: int, per_minute: list[int]) -> list[bytes]:
    """That many calls in each minute, to numbers far from each other, a tenth of them called before."""
    lines: list[tuple[int, bytes]] = []
    known = ["+8613800000000"]
    for minute in range(minutes):
        for _ in range(per_minute[minute]):
            if rng.random() < 0.9:
                known.append(f"+86138{64 * rng.randrange(10**6):08d}")
            end = T0 + minute * MINUTE + rng.randrange(MINUTE)
            answered = end if rng.random() < 0.7 else None
            call = cdr(
                call_id=f"c{len(lines)}",
                callee=rng.choice(known[-30:]),
                caller=f"+86139{rng.randrange(10**4):04}",
                start_ms=end,
                answer_ms=answered,
                end_ms=end,
                outcome="answered" if answered else "no_answer",
                consent_id=rng.choice(("k1", "k2", f"k{len(lines)}", None)),
            )
            lines.append((end, codec.encode(call)))
    return [line for _, line in sorted(lines)]


def true_distinct(lines: list[bytes], start_ms: int, end_ms: int) -> int:
    calls = [call for call in map(codec.decode, lines) if isinstance(call, Cdr)]
    return len({call.callee for call in calls if start_ms <= call.end_ms < end_ms})


def windows_of(lines: list[bytes], policy: Policy, folder: Path) -> list[Any]:
    path = folder / "calls.jsonl"
    path.write_bytes(b"\n".join(lines) + b"\n")
    return replay([path], policy, ReplayOptions(windows=True)).windows


@pytest.mark.parametrize(
    ("window", "step"),
    [
        ("20m", "20m"),
        ("20m", "5m"),
        ("5m", "5m"),
    ],
)
def test_a_window_of_few_enough_callees_is_exact(window: str, step: str, tmp_path: Path) -> None:
    """Section 4 of the contract: exact up to a number of distinct keys per *tenant and window*; a busy
    hour precedes.
    """
    seed = 1
    print(f"seed {seed}")
    per_minute = [4] * 40 + [10] * 20 + [4] * 80
    lines = calls(random.Random(seed), len(per_minute), per_minute)
    with few_exact():
        judged = windows_of(lines, policy_of(rules=[rule(window, step)]), tmp_path)
    few = 0
    for one in judged:
        true = true_distinct(lines, one.end_ms - one.window_ms, one.end_ms)
        if true <= EXACT:
            few += 1
            assert one.numerator == true, one
    assert few > 5


@pytest.mark.parametrize("window", ["5m", "20m"])
def test_no_more_callees_are_estimated_than_there_were_attempts(window: str, tmp_path: Path) -> None:
    rng = random.Random(2)
    callees = rng.sample(range(10**6), 6_000)  # each called once: half of all samples are too large
    ends = [T0 + n * 20 * MINUTE // len(callees) for n in range(len(callees))]
    lines = [
        codec.encode(cdr(call_id=f"c{n}", callee=f"+86138{64 * callee:08d}", start_ms=end, end_ms=end))
        for n, (callee, end) in enumerate(zip(callees, ends, strict=True))
    ]
    with few_exact():
        judged = windows_of(lines, policy_of(rules=[rule(window, "5m")]), tmp_path)
    assert sum(one.denominator > 2 * EXACT for one in judged) >= 4
    assert max(one.value for one in judged) == 1


@pytest.mark.parametrize(("window", "step"), [("20m", "5m"), ("5m", "5m")])
def test_what_is_sampled_is_a_lower_bound_and_what_is_not_is_exact(window: str, step: str, tmp_path: Path) -> None:
    """Against the oracle, for a tenant that rises above the limit and falls below it again."""
    seed = 3
    print(f"seed {seed}")
    rng = random.Random(seed)
    lines = calls(rng, 150, [rate for _ in range(15) for rate in [rng.choice((2, 2, 20, 60))] * 10])
    metrics = ("callee_peak", "top_callee_share", "consent_peak", "callers", "calls_per_caller", "block_ratio")
    with few_exact():
        judged = windows_of(lines, policy_of(rules=[rule(window, step, metric) for metric in metrics]), tmp_path)
    made = [msgspec.to_builtins(codec.decode(line)) for line in lines]
    exact = above = less = 0
    for one in judged:
        inside = [call for call in made if one.end_ms - one.window_ms <= call["end_ms"] < one.end_ms]
        found = measure(one.metric, Seen(inside, [], []), Params(6_000, 1, "UTC", 3_000))
        if len(inside) <= EXACT:
            exact += 1
            assert (one.numerator, one.denominator, one.value) == found
        elif one.metric in ("callee_peak", "top_callee_share", "consent_peak"):
            above += 1
            less += one.numerator < found[0]
            assert 0 < one.numerator <= found[0]
            assert one.denominator == found[1]
    assert min(exact, above) > 5
    assert less


def rows_of(lines: list[bytes], start: int, stop: int) -> RecordBatch:
    """The lines as rows of a topic, read long after all of them."""
    stamps = np.full(stop - start, T0 + 365 * DAY)
    return RecordBatch(start, stop, np.arange(start, stop), stamps, lines[start:stop])


def through(policy: Policy, lines: list[bytes], stops: list[int]) -> list[bytes]:
    """The decisions of a partition that is stopped after each of these lines and restored from its snapshot."""
    decided: list[TaskOutput] = []
    stored: dict[str, bytes | None] = {}
    at = 0
    partition = StreamTask(policy, sources=1)
    for stop in [*stops, len(lines)]:
        partition.feed(0, rows_of(lines, at, stop))
        partition.advance()
        stored |= partition.snapshot()
        decided.append(partition.take())
        partition = StreamTask(policy, sources=1)
        at = partition.restore({key: blob for key, blob in stored.items() if blob is not None})[0]
        partition.feed(0, rows_of(lines, at, stop))
        at = stop
    partition.finish()
    decided.append(partition.take())
    out = [record for taken in decided for record in (*taken.output.shadow, *taken.output.alerts)]
    return sorted(map(msgspec.json.encode, out))


MIXED = "5m, some 10m and 20m"  # the keys that each step counts are in a window of their own
_STEPS = {"block_ratio": "20m", "consent_peak": "10m", "top_callee_share": "10m"}
_RESTARTS = [
    *(
        restart
        for window, step in (("20m", "5m"), ("20m", "20m"), ("5m", "5m"))
        for restart in thorough([(window, step, seed) for seed in range(5)], 1)
    ),
    *thorough([("2h", "2h", seed) for seed in (7, 11, 15)], 1),
    *thorough([("20m", MIXED, seed) for seed in range(3)], 1),
]


@pytest.mark.parametrize(("window", "step", "seed"), _RESTARTS)
def test_a_restart_changes_no_estimate(window: str, step: str, seed: int) -> None:
    """Above the limit of exact counting: the choice of keys does not depend on when a process was stopped."""
    print(f"seed {seed}")
    rng = random.Random(seed)
    minutes, rates = (150, (0, 2, 10, 40)) if window != "2h" else (540, (0, 1, 2, 4))
    per_minute = [rate for _ in range(minutes // 10) for rate in [rng.choice(rates)] * 10]
    lines = calls(rng, len(per_minute), per_minute)
    metrics = ("distinct_callee_ratio", "sequential_ratio", *LIMITS)
    steps = {metric: _STEPS.get(metric, "5m") if step == MIXED else step for metric in metrics}
    policy = policy_of(rules=[rule(window, steps[metric], metric) for metric in metrics], defaults={"lateness": "1m"})
    stops = sorted(rng.sample(range(1, len(lines)), 12))
    with few_exact():
        whole = through(policy, lines, [])
        assert len(whole) > 3
        assert through(policy, lines, stops) == whole
