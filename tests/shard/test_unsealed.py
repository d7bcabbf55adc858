"""Unsealed: open calls in whatever pieces they came are all there when their panes are ripe, and known by source."""

import random

import numpy as np
import pytest
from shard_samples import MINUTE, T0, cdr, columns

from monitor.shard.columns import Calls, Counted
from monitor.shard.unsealed import Unsealed

Open = tuple[int, str, int, int, int]  # event time, id, source, offset, clock before it


def calls_of(rows: list[Open]) -> Calls:
    _, calls, _ = columns([cdr(call_id=name, start_ms=at, end_ms=at) for at, name, *_ in rows])
    calls.source = np.array([source for *_, source, _, _ in rows], np.int16)
    calls.offset = np.array([offset for *_, offset, _ in rows])
    calls.clock_ms = np.array([clock for *_, clock in rows])
    return calls


def ids_of(calls: Counted | None) -> list[tuple[int, str]]:
    return [] if calls is None else sorted(zip(calls.end_ms.tolist(), calls.call_id.tolist(), strict=True))


@pytest.mark.parametrize("seed", range(8))
def test_calls_are_handed_over_once_pane_by_pane(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    print(f"seed {seed}")
    rng = random.Random(seed)
    monkeypatch.setattr("monitor.shard.unsealed._TOGETHER", 40)
    unsealed, still_open, now = Unsealed(MINUTE), list[Open](), T0
    offsets = [0, 0, 0]
    for _ in range(80):
        now += rng.choice((0, 1_000, 20_000, MINUTE))
        batch = []
        for _ in range(rng.choice((1, 1, 5, 60))):
            source = rng.randrange(rng.choice((1, 3)))
            offsets[source] += rng.choice((1, 1, 7))
            at = now + rng.choice((0, 500, MINUTE, 5 * MINUTE))
            batch.append((at, f"c{source}-{offsets[source]}", source, offsets[source], now - rng.randrange(99)))
        unsealed.add(calls_of(batch))
        still_open += batch
        if rng.random() < 0.3:
            before = now // MINUTE * MINUTE
            ripe = [(at, name) for at, name, *_ in still_open if at < before]
            assert ids_of(unsealed.ripe(before)) == sorted(ripe)
            assert unsealed.ripe(before) is None
            still_open = [one for one in still_open if one[0] >= before]
        assert len(unsealed) == len(still_open) == sum(map(len, unsealed.pieces()))
        firsts: dict[int, tuple[int, int]] = {}
        for _, _, source, offset, clock in sorted(still_open, key=lambda one: one[3]):
            firsts.setdefault(source, (offset, clock))
        assert unsealed.since() == firsts
        ends = [at // MINUTE * MINUTE + MINUTE for at, *_ in still_open]
        assert unsealed.ripe_at_ms == min(ends, default=None)


def test_numbers_that_fit_are_kept_in_half_the_bytes_and_others_are_not_cut() -> None:
    year = 365 * 24 * 60 * MINUTE
    short = cdr(call_id="a", outcome="answered", start_ms=T0, answer_ms=T0, end_ms=T0 + 5)
    long = cdr(call_id="b", outcome="answered", start_ms=T0 - year, answer_ms=T0 - year, end_ms=T0)
    _, calls, _ = columns([short])
    assert {calls.counted().talk_ms.dtype, calls.counted().word.dtype} == {np.dtype(np.int32), np.dtype(np.uint32)}
    _, both, _ = columns([short, long])
    unsealed = Unsealed(MINUTE)
    unsealed.add(calls)
    unsealed.add(both)
    ripe = unsealed.ripe(T0 + MINUTE)
    assert ripe is not None
    assert ripe.talk_ms.tolist() == [5, 5, year]


def test_a_block_of_ids_is_not_kept_for_a_few_of_them() -> None:
    rows: list[Open] = [(T0 + 5 * MINUTE * (n % 100 == 0), f"call-{n:04d}", 0, n, 0) for n in range(5_000)]
    unsealed = Unsealed(MINUTE)
    unsealed.add(calls_of(rows))
    assert unsealed.ripe(T0 + MINUTE) is not None
    left = unsealed.ripe(T0 + 6 * MINUTE)
    assert left is not None
    assert len(left.call_id.block) == 50 * 9
