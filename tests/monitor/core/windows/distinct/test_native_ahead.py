"""The extension counts keys at a future end as numpy does, and refuses arguments that do not fit."""

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

from helpers.shard_samples import MINUTE, T0
from helpers.thorough import thorough
from monitor.core.calls.key_placement import Placement
from monitor.core.calls.keys import BLOCK_BITS
from monitor.core.windows.distinct import native_ahead
from monitor.core.windows.distinct.count_names import IN_BLOCKS, PEAK, SEQUENTIAL, TOP, WIDEST, Name
from monitor.core.windows.distinct.distinct_counts import DistinctCounts
from monitor.core.windows.distinct.key_counts import NEIGHBOUR_BITS, KeyCounts
from monitor.core.windows.distinct.key_table import KeyTable
from monitor.core.windows.distinct.pane_distinct_counts import PaneDistinctCounts

pytestmark = pytest.mark.skipif(
    not native_ahead.built(), reason="the extension is not built: no C compiler (`.ci/run` requires it)"
)

TENANTS = 6
NAMES: tuple[tuple[Name, ...], ...] = (
    (),
    (SEQUENTIAL,),
    (1, 3, PEAK),
    (1, 2, 5, SEQUENTIAL, PEAK),
    (IN_BLOCKS,),
    (WIDEST,),
    (1, PEAK, TOP),
)


def random_keys(rng: random.Random, by_group: bool, unit_bits: np.uint64) -> KeyCounts:
    """Distinct keys of some tenants, often sequential, each with its group if ``by_group``; some are sampled."""
    times: Counter[int] = Counter()
    for _ in range(rng.choice((0, 1, 1, 4))):
        tenant, step = rng.randrange(TENANTS), rng.choice((1, 1, 2, 50))
        first = (tenant << 40) + rng.choice((0, 3, 300))
        for key in range(first, first + rng.choice((1, 4, 30, 900)) * step, step):
            times[key] += rng.choice((1, 1, 3))
    keys = np.array(sorted(times), np.uint64)
    tenant = (keys >> np.uint64(40)).astype(np.int32)
    numeric = (keys & np.uint64(7)) != 5
    group = keys // np.uint64(rng.choice((3, 70))) if by_group else np.empty(0, np.uint64)
    count = np.array([times[int(key)] for key in keys], np.int32)
    levels = {tenant: rng.choice((1, 2)) for tenant in range(TENANTS) if rng.random() < 0.1}
    return KeyCounts(keys, tenant, count, numeric, group=group, unit_bits=unit_bits).thinned(levels)


def ahead(
    counts: DistinctCounts | PaneDistinctCounts, who: Sequence[int], coming: Sequence[KeyCounts], before_ms: int
) -> list[list[list[int]]]:
    """The counts by name with numpy and with the extension."""
    found = []
    for enabled in (False, True):
        with patch.object(native_ahead, "enabled", enabled):
            then = counts.ahead(np.array(who), coming, before_ms)
        found.append([then[name].tolist() for name in counts.names])
    return found


@pytest.mark.parametrize("seed", thorough(range(300), 60))
def test_counts_ahead_are_those_that_numpy_makes(seed: int) -> None:
    """Keys come in several pieces and repeat, old panes leave, some tenants are not asked for, and one may be new."""
    rng = random.Random(seed)
    names = rng.choice(NAMES)
    by_group, length = names == (WIDEST,), rng.randrange(1, 6)
    window = DistinctCounts(length * MINUTE, names)
    indexed, unit_bits = rng.choice((16, 4_096)), rng.choice((NEIGHBOUR_BITS, BLOCK_BITS))
    with patch("monitor.core.windows.distinct.key_counts._INDEXED", indexed):
        for number in range(rng.randrange(1, 8)):
            start_ms = T0 + number * MINUTE
            window.enter(start_ms, random_keys(rng, by_group, unit_bits), TENANTS, start_ms - (length - 1) * MINUTE)
            coming = [random_keys(rng, by_group, unit_bits) for _ in range(rng.randrange(4))]
            before_ms = start_ms - rng.randrange(-2, length) * MINUTE
            for _ in range(2):  # large pieces are indexed at the second time
                who = sorted(rng.sample(range(TENANTS + 1), rng.randrange(1, TENANTS + 1)))
                numpy, extension = ahead(window, who, coming, before_ms)
                assert extension == numpy
            pane = PaneDistinctCounts(MINUTE, names)
            numpy, extension = ahead(pane, who, coming, before_ms)
            assert extension == numpy


def test_a_largest_count_that_leaves_is_looked_for_among_all_keys() -> None:
    """The extension does not know the second largest: numpy counts, and nothing is changed by the attempt."""
    keys = np.array([1, 2], np.uint64)
    tenant, numeric = np.zeros(2, np.int32), np.ones(2, np.bool_)
    window = DistinctCounts(9 * MINUTE, (PEAK,))
    for number, counts in enumerate(((7, 0), (0, 5))):
        some = np.flatnonzero(counts)
        window.enter(
            T0 + number * MINUTE,
            KeyCounts(keys[some], tenant[some], np.array(counts, np.int32)[some], numeric[some]),
            1,
        )
    with patch.object(native_ahead, "enabled", True):
        assert window.ahead(np.array([0]), [], T0 + MINUTE)[PEAK].tolist() == [5]
        assert window.ahead(np.array([0]), [], T0)[PEAK].tolist() == [7]
    assert window.read(PEAK, 1).tolist() == [7]


def test_a_sampled_tenant_is_counted_as_a_sample_by_the_extension() -> None:
    keys = np.arange(200, dtype=np.uint64) * np.uint64(64)
    tenant, ones = np.zeros(200, np.int32), np.ones(200, np.int32)
    every, more = (
        KeyCounts(keys + first, tenant, ones, np.ones(200, np.bool_)).thinned({0: 2})
        for first in np.array([0, 1 << 20], np.uint64)
    )
    other = KeyCounts(np.array([3], np.uint64), np.ones(1, np.int32), np.ones(1, np.int32), np.ones(1, np.bool_))
    with patch.object(native_ahead, "enabled", True):
        window = DistinctCounts(9 * MINUTE)
        window.enter(T0, every, 2)
        with patch.object(DistinctCounts, "keys_ahead"):
            found = window.ahead(np.array([0, 1]), [other, more], T0)
        assert found["distinct"].tolist() == [4 * (len(every) + len(more)), 1]
        pane = PaneDistinctCounts(MINUTE)
        assert pane.ahead(np.array([0, 1]), [every, other], T0)["distinct"].tolist() == [4 * len(every), 1]
        for window in (DistinctCounts(9 * MINUTE), pane):
            assert window.ahead(np.array([1]), [every, other], T0)["distinct"].tolist() == [1]


# Arguments --------------------------------------------------------------------------------------------------------


def piece() -> dict[str, Any]:
    """The columns of a piece of two keys, by name."""
    return {
        "key": np.array([1, 2], np.uint64),
        "tenant": np.array([0, 1], np.int32),
        "count": np.ones(2, np.int32),
        "numeric": np.ones(2, np.bool_),
        "group": np.empty(0, np.uint64),
        "order": np.array([0, 1], np.int32),
        "in_order": np.array([0, 1], np.int32),
        "change": 0,
    }


def arguments(columns: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a call with this piece, by name."""
    table = KeyTable(Placement())
    return {
        "pieces": [tuple(columns.values())],
        "group_bits": 6,
        "block_least": 10,
        "sequences": True,
        "who": np.array([0, 1]),
        "level": np.zeros(2, np.uint8),
        "unit_bits": 6,
        "place": np.array([0, 1], np.int32),
        "slots": table.native.slots,
        "words": table.native.words,
        "group_slots": table.native.slots,
        "limits": np.array([3], np.int32),
        "counts": np.zeros((4, 2), np.int64),
        "largest_now": np.zeros(2, np.int64),
        "largest": np.zeros(2, np.int64),
        "in_blocks": np.zeros((2, 2), np.int64),
    }


WRONG_PIECE: dict[str, tuple[str, Any]] = {
    "narrow keys": ("key", lambda key: key.astype(np.uint32)),
    "fewer tenants": ("tenant", lambda tenant: tenant[:1]),
    "wide counts": ("count", lambda count: count.astype(np.int64)),
    "fewer kinds": ("numeric", lambda numeric: numeric[:1]),
    "fewer groups": ("group", lambda group: np.zeros(1, np.uint64)),
    "a row beyond the keys": ("order", lambda order: order + 1),
    "a negative row": ("order", lambda order: order - 1),
    "an order of fewer rows": ("order", lambda order: order[:1]),
    "a change beyond the last": ("change", lambda change: 3),
    "a negative change": ("change", lambda change: -1),
    "fewer tenants in order": ("in_order", lambda in_order: in_order[:1]),
}
WRONG: dict[str, tuple[str, Any]] = {
    "no list": ("pieces", tuple),
    "no tuple": ("pieces", lambda pieces: [list(pieces[0])]),
    "a number of bits beyond 63": ("group_bits", lambda bits: 64),
    "narrow tenants": ("who", lambda who: who.astype(np.int32)),
    "fewer levels": ("level", lambda level: level[:1]),
    "a level beyond 63": ("level", lambda level: level + np.uint8(64)),
    "a number of bits of a unit beyond 63": ("unit_bits", lambda bits: 64),
    "a place beyond the tenants": ("place", lambda place: place + 1),
    "a table without a power of two": ("slots", lambda slots: slots[:1000]),
    "a table of groups without a power of two": ("group_slots", lambda slots: slots[:1000]),
    "two words": ("words", lambda words: words[:2]),
    "wide limits": ("limits", lambda limits: limits.astype(np.int64)),
    "counts of fewer tenants": ("counts", lambda counts: counts[:, :1].copy()),
    "fewer largest counts": ("largest", lambda largest: largest[:1]),
    "fewer largest counts now": ("largest_now", lambda largest: largest[:1]),
    "fewer counts of blocks": ("in_blocks", lambda counts: counts[:1]),
}


@pytest.mark.parametrize("which", [*WRONG_PIECE, *WRONG])
def test_arguments_that_do_not_fit_are_refused(which: str) -> None:
    assert native_ahead._ahead.ahead(*arguments(piece()).values())
    columns = piece()
    if which in WRONG_PIECE:
        name, change = WRONG_PIECE[which]
        columns[name] = change(columns[name])
    given = arguments(columns)
    if which in WRONG:
        name, change = WRONG[which]
        given[name] = change(given[name])
    with pytest.raises(ValueError, match=r"fit|such|power of two|expected"):
        native_ahead._ahead.ahead(*given.values())
    assert not given["counts"].any()


def test_tenants_that_are_not_asked_for_may_have_any_number() -> None:
    columns = piece() | {"tenant": np.array([-1, 9], np.int32), "order": None, "in_order": None}
    given = arguments(columns)
    assert native_ahead._ahead.ahead(*given.values())
    assert not given["counts"].any()
