"""Running counts against counting all keys again: panes enter and leave, and some tenants have samples."""

import random
from collections.abc import Iterable
from contextlib import ExitStack
from unittest.mock import patch

import numpy as np
import pytest
from numpy.typing import NDArray

from helpers.shard_samples import MINUTE, T0
from helpers.thorough import thorough
from monitor.core.calls.fields import BIT
from monitor.core.calls.keys import mix
from monitor.core.calls.new_calls import NewCalls
from monitor.core.windows.distinct import native_running
from monitor.core.windows.distinct.count_names import DISTINCT, IN_BLOCKS, PEAK, SEQUENTIAL, UNFINISHED, WIDEST, Name
from monitor.core.windows.distinct.distinct_counts import DistinctCounts
from monitor.core.windows.distinct.early_distinct_counts import EarlyDistinctCounts
from monitor.core.windows.distinct.key_counts import NEIGHBOUR_BITS, KeyCounts, levels_of
from monitor.core.windows.distinct.key_uses import KeyUses
from monitor.core.windows.distinct.native_running import Span
from monitor.core.windows.distinct.pane_distinct_counts import PaneDistinctCounts
from monitor.core.windows.distinct.running_counts import RunningCounts
from monitor.core.windows.pane import keys_of_panes
from monitor.core.windows.tenant_columns import TenantColumns
from monitor.policy.metrics import KeySet

pytestmark = pytest.mark.skipif(
    not native_running.built(), reason="the extension is not built: no C compiler (`.ci/run` requires it)"
)

TENANTS = 5
COUNTED: tuple[tuple[KeySet, tuple[Name, ...]], ...] = (
    ("callees", (1, 3, PEAK, SEQUENTIAL)),
    ("callees", ()),
    ("callers", (PEAK,)),
    ("blocks", (IN_BLOCKS,)),
    ("reached", (2, SEQUENTIAL)),
    ("consents", (WIDEST,)),
)


def some_calls(rng: random.Random, count: int, from_ms: int, to_ms: int, numbers: int = 0) -> NewCalls:
    """Calls that end before ``to_ms``, not before ``from_ms``, to so many numbers of each tenant; 0: to few or many."""
    some = np.random.default_rng(rng.getrandbits(32))
    tenant = some.choice(TENANTS, count, p=(0.5, 0.2, 0.1, 0.1, 0.1)).astype(np.int32)
    number = some.integers(0, numbers or rng.choice((20, 200, 4_000)), count)
    attempts, answered = some.random(count) < 0.9, some.random(count) < 0.7
    callee = (tenant.astype(np.uint64) << np.uint64(40)) + number.astype(np.uint64)
    own = tenant.astype(np.uint64) * np.uint64(1_000)
    group = mix(own + (number // 25 % 40).astype(np.uint64) + np.uint64(1))
    consent = np.where(some.random(count) < 0.2, np.uint64(0), group)
    return NewCalls(
        tenant,
        some.integers(from_ms, to_ms, count),
        attempts.astype(np.uint64) << np.uint64(BIT["attempts"])
        | answered.astype(np.uint64) << np.uint64(BIT["answered"]),
        np.zeros(count, np.int64),
        np.zeros(count, np.int64),
        callee,
        number % 8 != 5,
        mix(own + (number % 30).astype(np.uint64)),
        np.where(number % 8 == 5, np.uint64(0), group & ~np.uint64(127) | (number % 25).astype(np.uint64)),
        consent,
    )


class Window:
    """A window of some panes, the calls of the panes that are still open, and an end of the window in the future."""

    def __init__(self, rng: random.Random, which: KeySet, names: tuple[Name, ...], panes: int) -> None:
        self.rng, self.which = rng, which
        self.one_pane = panes == 1
        self.counts = PaneDistinctCounts(MINUTE, names) if self.one_pane else DistinctCounts(panes * MINUTE, names)
        self.length_ms = panes * MINUTE
        self.entered_ms = T0
        self.open: list[NewCalls] = [NewCalls.room(0)]
        self.every = [NewCalls.room(0)]
        for _ in range(rng.randrange(2 * panes)):
            self._add(some_calls(rng, rng.choice((3, 40, 400)), self.entered_ms, self.entered_ms + MINUTE))
            self.enter_pane()
        end_ms = self.entered_ms + rng.randrange(1, panes + 1) * MINUTE
        self.span = range(end_ms - self.length_ms, end_ms)

    def call(self) -> NewCalls:
        """New calls of open panes, of the window that ends in the future or after it."""
        until_ms = max(self.span.stop, self.entered_ms) + MINUTE
        calls = some_calls(self.rng, self.rng.choice((1, 7, 60, 300)), self.entered_ms, until_ms)
        self._add(calls)
        return calls

    def _add(self, calls: NewCalls) -> None:
        self.open.append(calls)
        self.every.append(calls)

    def enter_pane(self) -> None:
        """Let the first open pane enter."""
        start_ms, self.entered_ms = self.entered_ms, self.entered_ms + MINUTE
        calls = self._open_between(start_ms, self.entered_ms)
        if len(calls.tenant):
            before_ms = self.entered_ms - self.length_ms
            self.counts.enter(start_ms, self._keys(calls), TENANTS, before_ms)
        every = NewCalls.concat(self.open)
        self.open = [every.take(np.flatnonzero(every.end_ms >= self.entered_ms))]

    def _open_between(self, from_ms: int, to_ms: int) -> NewCalls:
        every = NewCalls.concat(self.open)
        return every.take(np.flatnonzero((every.end_ms >= from_ms) & (every.end_ms < to_ms)))

    def _keys(self, calls: NewCalls) -> KeyCounts:
        counted: set[KeySet] = {self.which, "callees"}  # with whom callers are counted
        return keys_of_panes(calls, 1, np.zeros(len(calls.tenant), np.intp), counted)[self.which][0]

    def coming(self) -> list[KeyCounts]:
        """The keys of each open pane in the window."""
        starts = range(max(self.entered_ms, self.span.start), max(self.span.stop, self.entered_ms), MINUTE)
        return [self._keys(self._open_between(at, at + MINUTE)) for at in starts]

    def unfinished(self) -> NDArray[np.int64]:
        """The most keys in a group of each tenant that is no block; 0 if its keys are sampled."""
        every = NewCalls.concat(self.every)
        inside = (every.end_ms >= self.span.start) & (every.end_ms < self.span.stop)
        pane = PaneDistinctCounts(MINUTE, (IN_BLOCKS,))
        pane.enter(T0, self._keys(every.take(np.flatnonzero(inside))), TENANTS)
        sizes = pane.unfinished(TENANTS)
        sizes[[*pane.levels, *self.sampling()]] = 0
        return sizes

    def sampling(self) -> dict[int, tuple[int, int]]:
        """What tells whether the sampling of a tenant has changed, as in `EarlyDistinctCounts`."""
        inside = {} if self.one_pane else self.counts.levels
        coming = levels_of(self.coming())
        return {tenant: (inside.get(tenant, 0), coming.get(tenant, 0)) for tenant in inside.keys() | coming.keys()}


class SampledLater(Window):
    """A window of the calls of one tenant. Only its last pane has so many that they are sampled, to other callees."""

    def __init__(self, rng: random.Random, which: KeySet, name: Name) -> None:
        super().__init__(rng, which, (name,), 9)
        self.counts, self.entered_ms = DistinctCounts(9 * MINUTE, (name,)), T0
        self.open, self.every = [NewCalls.room(0)], [NewCalls.room(0)]
        self.span = range(T0 - 4 * MINUTE, T0 + 5 * MINUTE)
        for start in range(T0, self.span.stop, MINUTE):
            few = start + MINUTE < self.span.stop
            consents = range(100, 106) if few else range(200, 300)
            self._add(self._some(rng.randrange(20) if few else 150, consents, range(start, start + MINUTE)))

    def call(self) -> NewCalls:
        """A few calls of any open pane."""
        until_ms = max(self.span.stop, self.entered_ms + MINUTE)
        calls = self._some(self.rng.choice((1, 5, 20)), range(100, 112), range(self.entered_ms, until_ms))
        self._add(calls)
        return calls

    def _some(self, count: int, consents: range, between_ms: range) -> NewCalls:
        """Calls to some of twelve callees of each consent: half of them are in a unit, which is sampled together."""
        some = np.random.default_rng(self.rng.getrandbits(32))
        consent = some.integers(consents.start, consents.stop, count)
        calls = calls_to(((consent << int(NEIGHBOUR_BITS)) + some.integers(-6, 6, count)).tolist(), 0)
        end_ms = some.integers(between_ms.start, between_ms.stop, count)
        numeric, key = np.ones(count, np.bool_), mix(consent.astype(np.uint64))
        return calls._replace(end_ms=end_ms, callee_numeric=numeric, consent_key=key)


def cramped(exact_keys: int) -> ExitStack:
    """More keys are sampled; tables are small."""
    stack = ExitStack()
    stack.enter_context(patch("monitor.core.calls.hash_table._SMALLEST_TABLE", 4))
    for module in ("distinct_counts", "key_counts"):
        stack.enter_context(patch(f"monitor.core.windows.distinct.{module}.EXACT_KEYS", exact_keys))
    return stack


def assert_counted(running: RunningCounts, window: Window, attempts: NDArray[np.int64], kept: Iterable[int]) -> None:
    who = np.array(sorted(kept), np.intp)
    if not len(who):
        return
    expected = window.counts.ahead(who, window.coming(), window.span.start)
    tried, counts = running.read(who)
    found = dict(zip(window.counts.names, counts.T, strict=True))
    assert tried.tolist() == attempts[who].tolist()
    for name in window.counts.names:
        if name == UNFINISHED:  # of both, an upper bound
            assert (found[name] >= window.unfinished()[who]).all()
        else:
            assert found[name].tolist() == expected[name].tolist(), name


@pytest.mark.parametrize("seed", thorough(range(400), 80))
def test_each_call_changes_the_counts_as_counting_all_keys_again_would(seed: int) -> None:
    rng = random.Random(seed)
    which, names = rng.choice(COUNTED)
    with cramped(exact_keys=rng.choice((40, 40, 32_768))):
        count_on(rng, Window(rng, which, names, rng.choice((1, 4, 4, 9))))


@pytest.mark.parametrize("seed", thorough(range(1_000), 200))
def test_keys_that_a_later_sample_leaves_out_count_neither_in_groups_nor_as_neighbours(seed: int) -> None:
    """Before the pane that is sampled, others enter that are not."""
    rng = random.Random(seed)
    with cramped(exact_keys=40):
        count_on(
            rng, SampledLater(rng, *rng.choice([("consents", WIDEST), ("consents", WIDEST), ("callees", SEQUENTIAL)]))
        )


def count_on(rng: random.Random, window: Window) -> None:
    """Compare the counts after each batch of calls, while tenants come and go."""
    running = RunningCounts(window.which, window.counts.names, window.counts.by_group)
    attempts, kept, sampling = np.zeros(TENANTS, np.int64), set[int](), dict[int, tuple[int, int]]()
    for _ in range(rng.randrange(1, 25)):
        calls = window.call() if rng.random() < 0.9 else NewCalls.room(0)
        if rng.random() < 0.4 and window.entered_ms < window.span.stop - MINUTE * window.one_pane:
            window.enter_pane()  # with some of these calls
        running.add(calls, Span(window.span.start, window.span.stop, window.entered_ms), window.counts.tables)
        inside = (calls.end_ms >= window.span.start) & (calls.end_ms < window.span.stop)
        tried = inside & (calls.word & np.uint64(1 << BIT["attempts"]) != 0)
        attempts += np.bincount(calls.tenant[tried], minlength=TENANTS)
        now = window.sampling()
        kept = set(np.flatnonzero(running.of(np.arange(TENANTS))).tolist())
        changed = {tenant for tenant, _ in sampling.items() ^ now.items()} & kept
        running.drop(np.array(sorted(changed | set(rng.sample(sorted(kept), rng.choice((0, 0, 1)) if kept else 0)))))
        kept, sampling = set(np.flatnonzero(running.of(np.arange(TENANTS))).tolist()), now
        assert_counted(running, window, attempts, kept)
        others = set(range(TENANTS)) - kept
        more = np.array([one for one in sorted(others) if rng.random() < 0.4], np.intp)
        if len(more):
            ahead = window.counts.keys_ahead(more, window.coming(), window.span.start)
            running.keep(more, ahead, attempts[more], TENANTS)
            kept |= set(more.tolist())
            assert_counted(running, window, attempts, kept)


def calls_to(numbers: Iterable[int], end_ms: int, consent: int = 1) -> NewCalls:
    """An answered call of the first tenant to each of these numbers, all with one consent."""
    callee = np.array([*numbers], np.uint64)
    calls = some_calls(random.Random(1), len(callee), end_ms, end_ms + 1)
    word = np.full(len(callee), 1 << BIT["attempts"] | 1 << BIT["answered"], np.uint64)
    tenant, group = np.zeros(len(callee), np.int32), np.full(len(callee), consent, np.uint64)
    return calls._replace(tenant=tenant, word=word, callee_key=callee, consent_key=group)


def empty_window(which: KeySet, name: Name) -> Window:
    """A window of four panes without calls, which will end two panes later."""
    window = Window(random.Random(1), which, (name,), 4)
    window.counts = DistinctCounts(4 * MINUTE, (name,))
    window.open, window.entered_ms = [NewCalls.room(0)], T0
    window.span = range(T0 + 2 * MINUTE, T0 + 6 * MINUTE)
    return window


def test_a_group_in_which_one_key_leaves_for_one_that_enters_is_kept() -> None:
    """In between the window has both."""
    window, who = empty_window("consents", WIDEST), np.array([0])
    window.open += [calls_to([1], T0 + MINUTE), calls_to([7], T0 + 3 * MINUTE, consent=9)]
    for _ in range(4):
        window.enter_pane()
    window.open.append(calls_to([2], T0 + 4 * MINUTE))
    running = RunningCounts("consents", window.counts.names, by_group=True)
    running.keep(who, window.counts.keys_ahead(who, window.coming(), window.span.start), np.zeros(1, np.int64), 1)
    window.enter_pane()
    assert window.counts.read(WIDEST, 1).tolist() == [2]
    calls = calls_to([3], T0 + 5 * MINUTE)
    window.open.append(calls)
    running.add(calls, Span(window.span.start, window.span.stop, window.entered_ms), window.counts.tables)
    expected = window.counts.ahead(who, window.coming(), window.span.start)
    assert expected[WIDEST].tolist() == [2]
    assert running.read(who)[1].T.tolist() == [expected[name].tolist() for name in window.counts.names]


@pytest.mark.parametrize("keys", [10, 100])
def test_a_tenant_whose_keys_only_a_later_pane_samples_gets_counts(keys: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitor.core.windows.distinct.early_distinct_counts._MANY", 0)
    with cramped(50):
        window, who, uses, table = empty_window("consents", WIDEST), np.array([0]), KeyUses(), TenantColumns()
        window.open += [calls_to([1], T0), calls_to(range(keys), T0 + 4 * MINUTE)]
        for _ in range(4):
            window.enter_pane()
        table.reach(1)
        uses.reach(1)
        first = table.reserve(EarlyDistinctCounts.width(window.counts))
        start_ms, stop_ms = window.span.start, window.span.stop
        early = EarlyDistinctCounts("consents", window.counts, uses, start_ms, lambda _: window.coming(), table, first)
        for attempts in (1, 2):
            early.take(NewCalls.room(0), stop_ms, window.entered_ms)
            early.count(who, np.array([attempts]))
        assert early.spread(0) == (1 if keys == 10 else 4), "is sampled"
        assert early.running_keys == sum(len(one) for one in window.coming())


def test_of_a_tenant_that_is_sampled_later_only_what_its_sample_keeps_is_kept() -> None:
    """And of others also groups whose keys all leave: the window still has them."""
    with cramped(50):
        window, other = empty_window("consents", WIDEST), np.ones(20, np.int32)
        window.open += [calls_to(range(20), T0), calls_to(range(20), T0, consent=7)._replace(tenant=other)]
        for _ in range(4):
            window.enter_pane()
        window.open.append(calls_to(range(100), T0 + 4 * MINUTE, consent=9))
        ahead = window.counts.keys_ahead(np.array([0, 1]), window.coming(), window.span.start)
    assert (list(ahead.later), ahead.levels.keys()) == ([0], {0})
    sampled = ahead.keys.thinned(dict(ahead.levels))
    assert sampled.key.tolist() == ahead.keys.key.tolist()
    groups = zip(ahead.groups.key.tolist(), ahead.groups.tenant.tolist(), ahead.groups.count.tolist(), strict=True)
    assert sorted(groups) == [(7, 1, 0), (9, 0, int(np.count_nonzero((sampled.tenant == 0) & (sampled.count > 0))))]


def test_tenants_with_the_most_keys_lose_their_counts_when_there_are_too_many() -> None:
    calls = some_calls(random.Random(7), 1_800, T0, T0 + MINUTE, 4_000)
    window = PaneDistinctCounts(MINUTE)
    running = RunningCounts("callees", window.names, by_group=False)
    every, span = np.arange(TENANTS), Span(T0, T0 + MINUTE, 0)
    running.keep(every, window.keys_ahead(every, [KeyCounts.empty()], T0), np.zeros(TENANTS, np.int64), TENANTS)
    with patch("monitor.core.windows.distinct.running_counts.MOST_KEYS", 1_500):
        for start in range(0, 1_800, 200):
            changed = running.add(calls.take(slice(start, start + 200)), span, window.tables).tolist()
            assert start > 0 or changed == every.tolist()
        left = np.flatnonzero(running.of(every)).tolist()
    assert 0 < len(left) < TENANTS
    assert 0 in running.large, "of half of the calls"
    assert running.large == set(every.tolist()) - set(left)
    tried = calls.word & np.uint64(1 << BIT["attempts"]) != 0
    expected = [len(np.unique(calls.callee_key[tried & (calls.tenant == tenant)])) for tenant in left]
    assert running.read(np.array(left))[1][:, window.names.index(DISTINCT)].tolist() == expected


def test_tenants_with_too_many_keys_get_no_counts() -> None:
    calls = some_calls(random.Random(7), 3_000, T0, T0 + MINUTE, 4_000)
    coming = keys_of_panes(calls, 1, np.zeros(3_000, np.intp), {"callees"})["callees"]
    window = PaneDistinctCounts(MINUTE)
    running = RunningCounts("callees", window.names, by_group=False)
    with patch("monitor.core.windows.distinct.running_counts.MOST_KEYS", 100):
        running.keep(np.array([0]), window.keys_ahead(np.array([0]), coming, T0), np.array([1]), TENANTS)
    assert not running.of(np.arange(TENANTS)).any()
    assert running.large == {0}


def test_tenants_with_many_keys_give_way_to_others() -> None:
    calls = some_calls(random.Random(7), 3_000, T0, T0 + MINUTE, 4_000)
    coming = keys_of_panes(calls, 1, np.zeros(3_000, np.intp), {"callees"})["callees"]
    window = PaneDistinctCounts(MINUTE)
    running = RunningCounts("callees", window.names, by_group=False)
    most = 2 * int(np.count_nonzero(coming[0].tenant == 0))
    with patch("monitor.core.windows.distinct.running_counts.MOST_KEYS", most):
        for tenant in (1, 2, 3, 4, 0):
            who = np.array([tenant])
            running.keep(who, window.keys_ahead(who, coming, T0), np.array([1]), TENANTS)
    assert running.of(np.arange(TENANTS)).tolist() == [True, False, True, True, True]
    assert running.large == {1}


def test_a_tenant_with_too_many_keys_keeps_no_other_from_getting_counts() -> None:
    calls = some_calls(random.Random(7), 3_000, T0, T0 + MINUTE, 4_000)
    coming = keys_of_panes(calls, 1, np.zeros(3_000, np.intp), {"callees"})["callees"]
    window, every = PaneDistinctCounts(MINUTE), np.arange(TENANTS)
    running = RunningCounts("callees", window.names, by_group=False)
    with patch("monitor.core.windows.distinct.running_counts.MOST_KEYS", 3_000):
        for who in (every, every[1:]):
            running.keep(who, window.keys_ahead(who, coming, T0), np.ones(len(who), np.int64), TENANTS)
    assert running.of(every).tolist() == [False, True, True, True, True]
    assert running.large == {0}


def test_a_batch_of_very_many_calls_removes_the_counts_which_may_be_kept_again() -> None:
    calls = some_calls(random.Random(7), 300, T0, T0 + MINUTE, 20)
    window, every = PaneDistinctCounts(MINUTE), np.arange(TENANTS)
    running, nobody = RunningCounts("callees", window.names, by_group=False), np.zeros(TENANTS, np.int64)
    none = window.keys_ahead(every, [KeyCounts.empty()], T0)
    running.keep(every, none, nobody, TENANTS)
    with patch("monitor.core.windows.distinct.running_counts.MOST_KEYS", 400):
        assert not len(running.add(calls, Span(T0, T0 + MINUTE, 0), window.tables))
    assert not running.of(every).any()
    assert running.large == set()
    running.keep(every, none, nobody, TENANTS)
    assert running.of(every).all()


def test_without_groups_their_table_does_not_grow() -> None:
    calls = some_calls(random.Random(7), 9_000, T0, T0 + MINUTE, 4_000)
    window, every = PaneDistinctCounts(MINUTE), np.arange(TENANTS)
    running = RunningCounts("callees", window.names, by_group=False)
    size = len(running._groups.native.slots)
    running.keep(every, window.keys_ahead(every, [KeyCounts.empty()], T0), np.zeros(TENANTS, np.int64), TENANTS)
    assert len(running.add(calls, Span(T0, T0 + MINUTE, 0), window.tables)) == TENANTS
    assert len(running._keys.native.slots) > size
    assert len(running._groups.native.slots) == size
