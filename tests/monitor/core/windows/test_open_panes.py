"""Open panes: however calls arrived and were summed up in between, a pane equals one that was closed in one piece."""

import random

import numpy as np
import pytest

from helpers.shard_samples import LAYOUT, MINUTE, T0, cdr, columns
from helpers.thorough import thorough
from monitor.core.calls.columns import Calls
from monitor.core.calls.fields import BIT
from monitor.core.windows.open_panes import OpenPane, OpenPanes
from monitor.core.windows.pane import Pane, to_panes
from monitor.core.windows.pane_store import decode_pane, encode_pane

WANTED = ((BIT["attempts"], -1), (BIT["answered"], -1), (BIT["attempts"], BIT["answered"]))
Open = tuple[int, Calls]


def open_panes() -> OpenPanes:
    return OpenPanes(MINUTE, LAYOUT, WANTED)


def one(rng: random.Random, number: int, at: int, source: int, clock: int) -> Calls:
    """A call with its offset in its source."""
    answered = {"outcome": "answered", "answer_ms": at} if rng.random() < 0.4 else {"outcome": "busy"}
    tenant, callee = rng.choice("aab"), str(rng.randrange(1_000, 1_400))
    _, calls, _ = columns(
        [cdr(call_id=f"c{number}", tenant_id=tenant, callee=callee, start_ms=at, end_ms=at, **answered)]
    )
    calls.tenant[:] = "ab".index(tenant)
    calls.source[:], calls.offset[:], calls.clock_ms[:] = source, number, clock
    return calls


def stored(panes: list[Pane]) -> list[bytes]:
    """The whole content, as bytes."""
    return list(map(encode_pane, panes))


@pytest.mark.parametrize(
    ("seed", "most_rows"),
    thorough([(seed, most_rows) for seed in range(3) for most_rows in (1, 7, 40, 10_000)], [(0, 1), (0, 40)]),
)
def test_a_pane_is_as_if_it_were_closed_at_once(seed: int, most_rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    print(f"seed {seed}")
    rng = random.Random(seed)
    monkeypatch.setattr("monitor.core.windows.open_panes._TOGETHER", 5)
    monkeypatch.setattr("monitor.core.windows.open_panes._MOST_ROWS", most_rows)
    monkeypatch.setattr("monitor.core.windows.distinct.key_counts.EXACT_KEYS", 60)
    opened, still_open, now, number = open_panes(), list[Open](), T0, 0
    reported, closed = 0, 0
    for _ in range(70):
        now += rng.choice((0, 1_000, 20_000, MINUTE))
        for _ in range(rng.choice((1, 1, 5, 40))):
            number += rng.choice((1, 1, 7))
            at = now + rng.choice((0, 0, 500, MINUTE, 5 * MINUTE))
            still_open.append((at, one(rng, number, at, rng.randrange(rng.choice((1, 3))), now - rng.randrange(99))))
        batch = [calls for _, calls in still_open[len(opened) :]]
        opened.add(Calls.concat(batch))
        if rng.random() < 0.2:
            new_calls = opened.new_calls()
            held = sum(piece.calls for piece in opened.between(0, 2 * now))
            assert held + sum(count for _, count in opened.waiting()) == len(opened)
            opened.sum_up()
            assert sum(piece.calls for piece in opened.between(0, 2 * now)) == len(opened)
            reported += sum(len(some.tenant) for some in new_calls or ())
        if rng.random() < 0.3:
            before = now // MINUTE * MINUTE
            due = [calls for at, calls in still_open if at < before]
            still_open = [pair for pair in still_open if pair[0] >= before]
            found = opened.due(before)
            wanted = to_panes(Calls.concat(due), MINUTE, LAYOUT, WANTED) if due else []
            assert stored(found) == stored(wanted)
            assert opened.due(before) == []
            closed += len(due)
        if rng.random() < 0.1:
            panes = [OpenPane(decode_pane(encode_pane(pane.pane)), pane.first) for pane in opened.panes()]
            again = open_panes()
            again.restore(panes, opened.newest_ms)
            opened = again
        assert len(opened) == len(still_open)
        firsts: dict[int, tuple[int, int]] = {}
        for _, calls in still_open:
            firsts.setdefault(int(calls.source[0]), (int(calls.offset[0]), int(calls.clock_ms[0])))
        assert opened.since() == firsts
        ends = [at // MINUTE * MINUTE + MINUTE for at, _ in still_open]
        assert opened.due_at_ms == min(ends, default=None)
    assert closed > 100
    assert reported > 0


def test_new_calls_are_reported_once_and_too_many_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitor.core.windows.open_panes._MOST_NEW_CALLS", 3)
    rng, opened = random.Random(0), open_panes()
    opened.add(one(rng, 0, T0, 0, 0))
    assert opened.new_calls() is None, "all that is open is to be looked at"
    assert opened.new_calls() == []
    for number in (1, 2):
        opened.add(one(rng, number, T0 + number, 0, 0))
    opened.due(T0 + MINUTE)
    opened.add(one(rng, 3, T0 + 2 * MINUTE, 0, 0))
    new_calls = opened.new_calls()
    assert new_calls is not None
    assert [some.end_ms.tolist() for some in new_calls] == [[T0 + 1], [T0 + 2], [T0 + 2 * MINUTE]]
    for number in (4, 5, 6, 7):
        opened.add(one(rng, number, T0 + 2 * MINUTE, 0, 0))
    assert opened.new_calls() is None
    assert opened.new_calls() == []


def test_new_calls_are_not_kept_once_most_of_them_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a backlog nobody asks for them, and they would fill the memory."""
    monkeypatch.setattr("monitor.core.windows.open_panes._FEW_NEW_CALLS", 3)
    rng, opened = random.Random(0), open_panes()
    opened.new_calls()
    for number in range(5):
        opened.add(one(rng, number, T0 + number, 0, 0))
    assert opened.new_call_count == 5, "all are open"
    opened.due(T0 + MINUTE)
    opened.add(one(rng, 5, T0 + 2 * MINUTE, 0, 0))
    assert opened.new_calls() is None
    assert opened.new_calls() == []
    for number in (6, 7, 8):
        opened.add(one(rng, number, T0 + number * MINUTE, 0, 0))
        opened.due(T0 + number * MINUTE)
    new_calls = opened.new_calls()
    assert new_calls is not None
    assert len(new_calls) == 3, "few are kept, closed or not"


def test_calls_wait_as_they_are_until_they_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Summing up few calls at once costs more per call; many calls that are not summed up take much memory."""
    monkeypatch.setattr("monitor.core.windows.open_panes._MOST_ROWS", 3)
    rng, opened = random.Random(0), open_panes()
    held = []
    for number in range(7):
        opened.add(one(rng, number, T0 + number, 0, 0))
        held.append(sum(piece.calls for piece in opened.between(T0, T0 + 1)))
    assert held == [0, 0, 3, 3, 3, 6, 6]
    assert [opened.due_calls(T0 + MINUTE - 1), opened.due_calls(T0 + MINUTE)] == [0, 7]
    assert opened.newest_ms == T0 + 6


def test_rows_of_a_batch_stay_apart_if_those_between_were_compacted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitor.core.windows.open_panes._TOGETHER", 5)
    rng, opened = random.Random(0), open_panes()
    minutes = [0, 0, 1, 1, 1, 1, 1, 1, 2, 2]
    every = Calls.concat([one(rng, number, T0 + at * MINUTE, 0, 0) for number, at in enumerate(minutes)])
    opened.add(every)
    assert stored(opened.due(T0 + 3 * MINUTE)) == stored(to_panes(every, MINUTE, LAYOUT, WANTED))


def test_the_newest_time_stays_when_older_calls_follow() -> None:
    rng, opened = random.Random(0), open_panes()
    for number, at in enumerate((T0, T0 + 9, T0 + 5)):
        opened.add(one(rng, number, at, 0, 0))
    assert opened.newest_ms == T0 + 9
    opened.due(T0 + MINUTE)
    assert opened.closed_newest_ms == T0 + 9


def test_pieces_are_as_few_as_their_number_doubles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitor.core.windows.open_panes._MOST_ROWS", 1)
    rng, opened = random.Random(0), open_panes()
    for number in range(100):
        opened.add(one(rng, number, T0, 0, 0))
        assert len(list(opened.between(T0, T0 + 1))) <= 1 + np.log2(number + 1)


def test_numbers_that_fit_are_kept_in_half_the_bytes_and_others_are_not_cut() -> None:
    year = 365 * 24 * 60 * MINUTE
    short = cdr(call_id="a", outcome="answered", start_ms=T0, answer_ms=T0, end_ms=T0 + 5)
    long = cdr(call_id="b", outcome="answered", start_ms=T0 - year, answer_ms=T0 - year, end_ms=T0)
    _, calls, _ = columns([short])
    assert {calls.counted().talk_ms.dtype, calls.counted().word.dtype} == {np.dtype(np.int32), np.dtype(np.uint32)}
    _, both, _ = columns([short, long])
    opened = open_panes()
    opened.add(calls)
    opened.add(both)
    (pane,) = opened.due(T0 + MINUTE)
    assert pane.sums[0, LAYOUT.bits] == 10 + year
