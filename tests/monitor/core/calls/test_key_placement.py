"""Placement: no choice of numbers by a tenant slows a key table, and no result depends on the placement of keys."""

import random
import runpy
from collections.abc import Sequence
from itertools import islice
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

from helpers.colliding_numbers import KNOWN_SECRET, colliding_numbers, endless_colliding_numbers, random_numbers
from helpers.shard_samples import DAY, HOUR, MINUTE, T0, cdr, counted_keys, policy_of
from monitor.core.calls import key_placement
from monitor.core.calls.key_placement import SECRET_BYTES, Placement
from monitor.core.calls.keys import mix, number_keys, salt_of, text_keys
from monitor.core.windows.distinct import native_keys
from monitor.core.windows.distinct.count_names import PEAK, SEQUENTIAL
from monitor.core.windows.distinct.distinct_counts import DistinctCounts
from monitor.core.windows.distinct.key_counts import KeyCounts
from monitor.partition.checkpoint import DecidingSettings
from monitor.partition.record_batch import RecordBatch
from monitor.partition.task import StreamTask
from schemas import codec

TENANT = "acme"
SEEDS = range(4)


def secret_of(seed: int) -> bytes:
    return random.Random(seed).randbytes(SECRET_BYTES)


def panes_of(numbers: Sequence[str], panes: int = 3) -> list[KeyCounts]:
    """Attempts to these numbers, distributed over that many panes."""
    salts = text_keys([TENANT], np.array([salt_of(b"")], np.uint64))
    keys, numeric = number_keys(numbers, np.repeat(salts, len(numbers)))
    some = range(panes)
    return [counted_keys(keys[n::panes], np.zeros(len(keys[n::panes]), np.int32), numeric[n::panes]) for n in some]


class Probes:
    """Distinct counts that take panes in, and the number of probing rounds."""

    def __init__(self, seed: int) -> None:
        self.counts = DistinctCounts(60 * MINUTE, (5, SEQUENTIAL, PEAK), placement=Placement(secret_of(seed)))
        self.rounds = 0
        table = self.counts._table._table
        probe = table.probe

        def counted(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            self.rounds += 1
            return probe(keys)

        table.probe = counted  # type: ignore[method-assign]

    def take(self, panes: Sequence[KeyCounts]) -> "Probes":
        for number, keys in enumerate(panes):
            self.counts.enter(T0 + number * MINUTE, keys, 1)
        return self

    @property
    def longest_run(self) -> int:
        """The longest run of used slots, which a search may have to scan."""
        used = self.counts._table._whose != np.iinfo(np.int32).min
        free = np.flatnonzero(np.append(np.concatenate([used, used]), False) == 0)
        return int(np.diff(free).max()) - 1


def test_the_generator_of_colliding_numbers_does_what_it_says() -> None:
    numbers = colliding_numbers(TENANT, 500)
    (keys,) = panes_of(numbers, 1)
    assert len(set(numbers)) == len(keys) == 500
    assert keys.numeric.all()
    assert not (mix(keys.key) & np.uint64(2**32 - 1)).any()


def test_the_generator_collides_under_a_placement_whose_secret_it_knows() -> None:
    numbers = list(islice(endless_colliding_numbers(TENANT, secret=KNOWN_SECRET), 500))
    (keys,) = panes_of(numbers, 1)
    assert len(set(numbers)) == len(keys) == 500
    assert not Placement(KNOWN_SECRET).slots(keys.key, 20).any()
    assert Placement(secret_of(0)).slots(keys.key, 20).any()


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("count", [400, 1_500])
def test_numbers_picked_to_collide_cost_no_more_probes_than_others(
    seed: int, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a public placement 1,500 of them took 1,500 rounds, each over all remaining ones."""
    monkeypatch.setattr(native_keys, "enabled", False)
    hostile = Probes(seed).take(panes_of(colliding_numbers(TENANT, count)))
    honest = Probes(seed).take(panes_of(random_numbers(seed, count)))
    assert hostile.rounds < 3 * honest.rounds
    assert hostile.longest_run < 100
    assert hostile.counts.distinct(1).tolist() == [count]


@pytest.mark.skipif(not native_keys.built(), reason="the extension is not built")
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("count", [400, 1_500])
def test_the_extension_scans_no_long_runs_for_numbers_picked_to_collide(
    seed: int, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It places keys as numpy does, and scans slot by slot up to the next free one."""
    monkeypatch.setattr(native_keys, "enabled", True)
    hostile = Probes(seed).take(panes_of(colliding_numbers(TENANT, count)))
    assert hostile.longest_run < 100
    assert hostile.counts.distinct(1).tolist() == [count]


def test_each_process_picks_a_placement_of_its_own() -> None:
    """A placement shared by every process is public: 600 colliding numbers then cost 100 times the time."""
    keys = np.arange(1_000, dtype=np.uint64)
    first, second = (runpy.run_path(key_placement.__file__)["Placement"]().slots(keys, 20) for _ in range(2))
    assert np.count_nonzero(first == second) < 100


@pytest.mark.parametrize("step", [1, 10, 64, 10**4, 2**20, 2**32, 2**53, 3**20, 6_700_417])
@pytest.mark.parametrize("seed", SEEDS)
def test_evenly_spaced_numbers_do_not_crowd_in_the_table(seed: int, step: int) -> None:
    """Multiplication by a secret leaves them evenly spaced, and therefore clustered under some secrets."""
    keys = np.arange(2_000, dtype=np.uint64) * np.uint64(step)
    slots = Placement(secret_of(seed)).slots(keys, 13)
    taken = np.bincount(slots, minlength=2**13)
    assert len(taken) == 2**13
    assert taken.max() <= 8
    assert np.count_nonzero(taken) > 1_600  # 1,780 for random ones


def rule(metric: str, above: float, window: str) -> dict[str, Any]:
    return {
        "id": f"{metric}-{window}",
        "behaviour": "blind_calling",
        "metric": metric,
        "above": above,
        "window": window,
        "step": "5m",
    }


@pytest.mark.parametrize("seed", range(2))
def test_no_decision_and_no_stored_byte_depends_on_the_placement(seed: int) -> None:
    """A partition with metrics of callees and callers, its snapshots and outputs, under several secrets."""
    print(f"seed {seed}")
    rng = random.Random(seed)
    metrics = {"distinct_callee_ratio": 0.4, "sequential_ratio": 0.1, "callee_over_limit": 8, "caller_peak": 12}
    metrics |= {"callers": 10, "calls_per_caller": 2.5, "callee_peak": 2, "top_callee_share": 0.5, "block_ratio": 0.2}
    metrics["consent_peak"] = 8
    rules = [rule(metric, above, window) for metric, above in metrics.items() for window in ("20m", "1h")]
    policy = policy_of(rules=rules)
    callees = [*colliding_numbers(TENANT, 60), *(f"+861380000{n:04}" for n in range(300)), "who", "somebody"]
    ends = sorted(rng.randrange(T0, T0 + 4 * HOUR) for _ in range(700))
    calls = [
        cdr(
            call_id=f"c{number}",
            callee=rng.choice(callees),
            caller=f"+86190000000{rng.randrange(20):02}",
            start_ms=end_ms,
            end_ms=end_ms,
            answer_ms=end_ms if number % 3 == 0 else None,
            outcome="answered" if number % 3 == 0 else rng.choice(("no_answer", "busy")),
            consent_id=rng.choice(("k1", "k2", f"k{number}")),
        )
        for number, end_ms in enumerate(ends)
    ]
    lines = [codec.encode(call) for call in calls]

    def put_out() -> list[bytes]:
        partition = StreamTask(policy, live=DecidingSettings(max_ahead_ms=0), sources=1)
        found: list[bytes] = []
        for start in range(0, len(lines), 140):
            some = lines[start : start + 140]
            stop = start + len(some)
            stamps = np.full(len(some), T0 + DAY)
            partition.feed(0, RecordBatch(start, stop, np.arange(start, stop), stamps, some))
            partition.early()
            partition.advance()
            output = partition.take().output
            found.extend(codec.encode(one) for one in (*output.enforcement, *output.shadow, *output.alerts))
            found.extend(key.encode() + (value or b"") for key, value in partition.snapshot())
        return found

    runs = []
    for other in range(3):
        with patch("monitor.core.calls.key_placement._PROCESS_SECRET", secret_of(other)):
            runs.append(put_out())
    assert sum(b'"callwarden.enforcement' in one for one in runs[0]) > 3
    assert all(run == runs[0] for run in runs)
