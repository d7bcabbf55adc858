"""Evidence: for each tenant and ruled field the newest 20 calls by event time and id, for any panes."""

import random
import zlib
from collections.abc import Iterator
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import strategies as st

from helpers.shard_samples import DAY, MINUTE, T0
from helpers.thorough import examples
from monitor.core.calls import native_newest
from monitor.core.calls.columns import Calls
from monitor.core.calls.evidence import EvidenceRows, NewestCalls, newest_of_groups, thin
from monitor.core.calls.newest_calls import NEWEST
from monitor.core.calls.string_column import StringColumn

Made = tuple[int, int, int, str]  # tenant, event time, word of fields, call id
WANTED = ((0, -1), (1, -1), (2, 0))  # bit 0; bit 1; bit 2 without bit 0
PANE = MINUTE
EVER = dict.fromkeys(range(len(WANTED)), 0)


@pytest.fixture(params=["extension", "numpy"], autouse=True, scope="module")
def selecting(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each test of the module runs on both; hypothesis accepts no fixture of a single test."""
    if request.param == "extension" and not native_newest.built():
        pytest.skip("the extension is not built")
    with patch.object(native_newest, "enabled", request.param == "extension"):
        yield


def is_ruled(word: int, field: int) -> bool:
    on, off = WANTED[field]
    return bool(word >> on & 1) and not (off >= 0 and word >> off & 1)


def plain_newest(made: list[Made], tenant: int, field: int, start_ms: int) -> list[tuple[str, int]]:
    """The ids of the newest calls, each with its place."""
    newest: dict[str, int] = {}
    for t, at, word, name in made:
        if t == tenant and at >= start_ms and is_ruled(word, field):
            newest[name] = max(at, newest.get(name, at))
    kept = sorted((at, name) for name, at in newest.items())[-20:]
    return sorted((name, place_of(name, at)) for at, name in kept)


def place_of(name: str, at_ms: int) -> int:
    """A place that only this call has."""
    return zlib.crc32(name.encode()) << 16 | at_ms & 0xFFFF


def named(evidence: NewestCalls, tenant: int, field: int, start_ms: int) -> tuple[str, ...]:
    return tuple(name for name, _ in evidence.newest(tenant, field, start_ms))


def calls_of(made: list[Made]) -> Calls:
    n = len(made)
    zeros = np.zeros(n, np.int64)
    return Calls(
        tenant=np.array([tenant for tenant, *_ in made], np.int32),
        word=np.array([word for _, _, word, _ in made], np.uint64),
        end_ms=np.array([at for _, at, _, _ in made], np.int64),
        talk_ms=zeros,
        ring_delay_ms=zeros,
        id_key=zeros.astype(np.uint64),
        callee_key=zeros.astype(np.uint64),
        callee_numeric=zeros.astype(np.bool_),
        caller_key=zeros.astype(np.uint64),
        block_key=zeros.astype(np.uint64),
        consent_key=zeros.astype(np.uint64),
        call_id=StringColumn.of([name for *_, name in made]),
        place=np.array([place_of(name, at) for _, at, _, name in made], np.int64),
        source=zeros.astype(np.int16),
        offset=zeros,
        clock_ms=zeros,
        line_ms=zeros,
    )


def rows_of(made: list[Made]) -> EvidenceRows:
    """The evidence of one pane: its calls sorted by tenant and time, as closing a pane sorts them."""
    ordered = sorted(made, key=lambda one: one[:2])
    return newest_of_groups(calls_of(ordered), np.array([t for t, *_ in ordered], np.int64), WANTED)


def some_calls(rng: random.Random, count: int, span_ms: int, ticks: int) -> list[Made]:
    """Calls that end at a few distinct instants; ids in random order."""
    names = rng.sample(range(10 * count), count)
    return [
        (rng.randrange(3), T0 + rng.randrange(ticks) * (span_ms // ticks), rng.randrange(8), f"c{name}")
        for name in names
    ]


@examples(st.integers(0, 2**32), st.sampled_from((1, 5, 60, 400)), st.sampled_from((1, 2, 3, 50)), fast=30, most=120)
def test_a_pane_keeps_the_newest_of_each_group_and_field(seed: int, count: int, ticks: int) -> None:
    made = some_calls(random.Random(seed), count, PANE, ticks)
    rows = rows_of(made)
    for tenant in range(3):
        for field in range(len(WANTED)):
            mine = (rows.tenant == tenant) & (rows.mask >> np.uint64(field) & np.uint64(1) == 1)
            found = sorted(zip(rows.call_id[mine].tolist(), rows.place[mine].tolist(), strict=True))
            assert found == plain_newest(made, tenant, field, 0)
    assert len(set(rows.call_id.tolist())) == len(rows)


@examples(
    st.integers(0, 2**32), st.sampled_from((20, 200, 900)), st.sampled_from((3, 40)), st.booleans(), fast=15, most=60
)
def test_windows_find_the_newest_over_many_panes_however_often_they_were_thinned(
    seed: int, count: int, ticks: int, often: bool
) -> None:
    """After each pane, for windows of several lengths; ids at one instant are cut by their order."""
    rng = random.Random(seed)
    panes, keep = 12, 6
    made = some_calls(rng, count, panes * PANE, ticks * panes)
    evidence = NewestCalls([keep * PANE] * len(WANTED))
    if often:
        evidence._thin_at = 0
    for number in range(panes):
        start = T0 + number * PANE
        here = [one for one in made if start <= one[1] < start + PANE]
        evidence.add(rows_of(here), start + PANE)
        if often:
            evidence._thin_at = 0
        so_far = [one for one in made if one[1] < start + PANE]
        for tenant in range(4):
            mine = [one for one in so_far if one[0] == tenant]
            for field in range(len(WANTED)):
                for length in (1, 2, keep):
                    begin = start + PANE - length * PANE
                    assert evidence.newest(tenant, field, begin) == plain_newest(mine, tenant, field, begin)


@examples(
    st.integers(0, 2**32), st.sampled_from((60, 400)), st.sampled_from((1, 5, 25)), st.booleans(), fast=15, most=40
)
def test_an_id_that_comes_again_is_named_once_and_hides_no_other_call(
    seed: int, count: int, pool: int, often: bool
) -> None:
    """The id was forgotten meanwhile; also within one pane, and among hundreds of other calls."""
    rng = random.Random(seed)
    panes, keep = 6, 3
    repeated = {(rng.randrange(2), T0 + rng.randrange(panes * PANE), f"c{rng.randrange(pool)}") for _ in range(count)}
    made = [(tenant, at, rng.randrange(8), name) for tenant, at, name in sorted(repeated)]
    made += some_calls(rng, 40, panes * PANE, 10)
    evidence = NewestCalls([keep * PANE] * len(WANTED))
    for number in range(panes):
        evidence._thin_at = 0 if often else 4096
        start = T0 + number * PANE
        evidence.add(rows_of([one for one in made if start <= one[1] < start + PANE]), start + PANE)
        so_far = [one for one in made if one[1] < start + PANE]
        for tenant in range(3):
            mine = [one for one in so_far if one[0] == tenant]
            for field in range(len(WANTED)):
                for length in (1, keep):
                    begin = start + PANE - length * PANE
                    found = evidence.newest(tenant, field, begin)
                    assert found == plain_newest(mine, tenant, field, begin)
                    assert len(set(found)) == len(found)


def test_a_tie_at_the_cut_is_broken_by_the_larger_id_by_code_point() -> None:
    """Not by case, not by the number in it, not by the order of reading."""
    names = ["c9", "c10", "C11", "é", "z", "中", "\U0001f600", "\uff21", *(f"k{n:02d}" for n in range(20))]
    random.Random(3).shuffle(names)
    made = [(0, T0, 1, name) for name in names]
    newest = tuple(sorted(sorted(names)[-20:]))
    evidence = NewestCalls([DAY] * len(WANTED))
    evidence.add(rows_of(made), T0 + PANE)
    assert named(evidence, 0, 0, T0) == newest
    cut = [(1, T0, 1, name) for name in ("B", "a", *(f"z{n:02d}" for n in range(19)))]
    evidence.add(rows_of(cut), T0 + PANE)
    assert "B" not in named(evidence, 1, 0, T0)
    assert "a" in named(evidence, 1, 0, T0)
    halves = [rows_of(made[:14]), rows_of(made[14:])]
    assert sorted(thin(halves, EVER).call_id.tolist()) == sorted(newest)


@pytest.mark.parametrize("later", [0, 1, 19, 20, 21])
def test_newer_calls_leave_room_for_just_as_many_of_those_at_one_instant(later: int) -> None:
    made = [(0, T0, 1, f"a{n:02d}") for n in range(30)] + [(0, T0 + 1 + n, 1, f"b{n:02d}") for n in range(later)]
    evidence = NewestCalls([DAY])
    evidence.add(rows_of(made), T0 + PANE)
    expected = [f"a{n:02d}" for n in range(30)][30 - max(0, 20 - later) :] + [f"b{n:02d}" for n in range(later)][-20:]
    assert named(evidence, 0, 0, T0) == tuple(sorted(expected))


def test_memory_is_bounded_by_tenants_and_fields_not_by_calls() -> None:
    seed = 9
    print(f"seed {seed}")
    rng = random.Random(seed)
    evidence = NewestCalls([10 * PANE] * len(WANTED))
    largest = 0
    for number in range(300):
        start = T0 + number * PANE
        here = [
            (rng.randrange(30), start + rng.randrange(PANE), rng.randrange(8), f"c{number}-{n}") for n in range(600)
        ]
        evidence.add(rows_of(here), start + PANE)
        largest = max(largest, sum(len(part) for part in evidence._parts))
    ever = 30 * len(WANTED) * NEWEST
    assert largest <= max(4096, 2 * ever) + 30 * len(WANTED) * NEWEST


def test_evidence_that_no_window_can_reach_is_dropped_when_thinned() -> None:
    old = [(0, T0 + n, 1, f"o{n}") for n in range(5)]
    new = [(1, T0 + 5 * PANE + n, 1, f"n{n}") for n in range(5)]
    kept = thin([rows_of(old), rows_of(new)], dict.fromkeys(EVER, T0 + PANE))
    assert sorted(kept.call_id.tolist()) == [f"n{n}" for n in range(5)]
    assert len(thin([rows_of(old)], dict.fromkeys(EVER, T0 + PANE))) == 0


def test_a_field_or_tenant_without_calls_has_no_evidence() -> None:
    evidence = NewestCalls([DAY] * len(WANTED))
    assert named(evidence, 0, 0, 0) == ()
    evidence.add(rows_of([(1, T0, 1, "c1")]), T0 + PANE)
    assert named(evidence, 0, 0, 0) == ()
    assert named(evidence, 1, 1, 0) == ()
    assert named(evidence, 1, 0, T0 + 1) == ()
    assert named(evidence, 1, 0, T0) == ("c1",)
