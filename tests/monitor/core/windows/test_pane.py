"""Closing panes: the panes of some calls, summed per tenant, with their keys and evidence, against loops over the
calls.
"""

from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import strategies as st

from helpers.shard_samples import BARE_LAYOUT, HOUR, LAYOUT, MINUTE, T0, cdr, columns, some_cdrs
from helpers.thorough import examples
from monitor.core.calls.columns import Calls
from monitor.core.calls.fields import BIT
from monitor.core.talk.buckets import BUCKETS, buckets_of
from monitor.core.windows.distinct.key_counts import KeyCounts
from monitor.core.windows.pane import KEY_SETS, Pane, merge, to_panes
from schemas.inputs import Cdr

WANTED = ((BIT["attempts"], -1), (BIT["answered"], BIT["consented"]))


def has(word: int, bit: int) -> bool:
    return bool(word >> bit & 1)


def plain_sums(calls: Calls, rows: list[int]) -> list[int]:
    words = [int(calls.word[row]) for row in rows]
    sums = [sum(has(word, bit) for word in words) for bit in range(LAYOUT.bits)]
    return [*sums, sum(int(calls.talk_ms[r]) for r in rows), sum(int(calls.ring_delay_ms[r]) for r in rows)]


def plain_evidence(calls: Calls, rows: list[int]) -> dict[int, set[str]]:
    found = {}
    for field, (on, off) in enumerate(WANTED):
        fit = [r for r in rows if has(int(calls.word[r]), on) and not (off >= 0 and has(int(calls.word[r]), off))]
        found[field] = {
            str(calls.call_id[r]) for r in sorted(fit, key=lambda r: (calls.end_ms[r], calls.call_id[r]))[-20:]
        }
    return found


def groups_of(calls: Calls, pane_ms: int) -> dict[int, dict[int, list[int]]]:
    """Rows by pane start and tenant."""
    groups: dict[int, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for row in range(len(calls)):
        groups[int(calls.end_ms[row]) // pane_ms * pane_ms][int(calls.tenant[row])].append(row)
    return groups


def key_counts_of(keys: KeyCounts) -> dict[tuple[int, int], tuple[int, bool]]:
    rows = zip(keys.key.tolist(), keys.tenant.tolist(), keys.count.tolist(), keys.numeric.tolist(), strict=True)
    return {(key, tenant): (count, numeric) for key, tenant, count, numeric in rows}


def talks_of(pane: Pane) -> dict[tuple[int, int], int]:
    talk = pane.talk
    assert (np.diff(talk.tenant.astype(np.int64) * BUCKETS + talk.bucket) > 0).all()
    return dict(zip(zip(talk.tenant.tolist(), talk.bucket.tolist(), strict=True), talk.count.tolist(), strict=True))


def check(pane: Pane, calls: Calls, by_tenant: dict[int, list[int]], with_keys: bool) -> None:
    """Without ``with_keys``, there are no talk times either."""
    assert pane.tenant.tolist() == sorted(by_tenant)
    for row, tenant in enumerate(pane.tenant.tolist()):
        assert pane.sums[row].tolist() == plain_sums(calls, by_tenant[tenant])
        mine = pane.evidence.tenant == tenant
        for field, names in plain_evidence(calls, by_tenant[tenant]).items():
            marked = mine & (pane.evidence.mask >> np.uint64(field) & np.uint64(1) == 1)
            assert set(pane.evidence.call_id[marked].tolist()) == names
    tried = [r for rows in by_tenant.values() for r in rows if has(int(calls.word[r]), BIT["attempts"])]
    if not with_keys:
        tried = []
    callees = Counter((int(calls.callee_key[r]), int(calls.tenant[r])) for r in tried)
    callers = Counter((int(calls.caller_key[r]), int(calls.tenant[r])) for r in tried)
    numeric = {int(calls.callee_key[r]): bool(calls.callee_numeric[r]) for r in tried}
    assert key_counts_of(pane.callees) == {key: (count, numeric[key[0]]) for key, count in callees.items()}
    assert key_counts_of(pane.callers) == {key: (count, False) for key, count in callers.items()}
    spoke = [r for rows in by_tenant.values() for r in rows if has(int(calls.word[r]), BIT["answered"])]
    buckets = buckets_of(calls.talk_ms).tolist()
    assert talks_of(pane) == Counter((int(calls.tenant[r]), buckets[r]) for r in spoke if with_keys)
    reached = [r for r in tried if has(int(calls.word[r]), BIT["answered"])]
    assert key_counts_of(pane.reached) == {
        key: (count, numeric[key[0]])
        for key, count in Counter((int(calls.callee_key[r]), int(calls.tenant[r])) for r in reached).items()
    }
    blocks = Counter((int(calls.block_key[r]), int(calls.tenant[r])) for r in tried if calls.callee_numeric[r])
    assert key_counts_of(pane.blocks) == {key: (count, True) for key, count in blocks.items()}
    pairs = Counter((int(calls.consent_key[r]), int(calls.callee_key[r])) for r in reached if calls.consent_key[r])
    assert Counter(pane.consents.group.tolist()) == Counter(consent for consent, _ in pairs)
    assert sorted(pane.consents.count.tolist()) == sorted(pairs.values())


@examples(some_cdrs(most=40), st.sampled_from((MINUTE, 5 * MINUTE, 7_000)), st.booleans(), fast=15, most=60)
def test_closing_sums_what_a_loop_sums(cdrs: list[Cdr], pane_ms: int, with_keys: bool) -> None:
    _, calls, _ = columns(cdrs)
    groups = groups_of(calls, pane_ms)
    panes = to_panes(calls, pane_ms, LAYOUT if with_keys else BARE_LAYOUT, WANTED)
    assert [pane.start_ms for pane in panes] == sorted(groups)
    for pane in panes:
        check(pane, calls, groups[pane.start_ms], with_keys)


@examples(some_cdrs(most=40, span_ms=HOUR - 1), st.data(), st.booleans(), fast=15, most=30)
def test_merging_panes_is_closing_them_as_one(cdrs: list[Cdr], data: st.DataObject, with_keys: bool) -> None:
    """For any cut of the hour; long windows count no keys."""
    _, calls, _ = columns(cdrs)
    panes = to_panes(calls, data.draw(st.sampled_from((MINUTE, 5 * MINUTE, 20 * MINUTE))), LAYOUT, WANTED)
    hour = merge(panes, T0, KEY_SETS if with_keys else (), range(len(WANTED)), with_keys)
    assert hour.start_ms == T0
    check(hour, calls, groups_of(calls, HOUR)[T0], with_keys)


@examples(some_cdrs(most=40), st.randoms(use_true_random=False), fast=15, most=25)
def test_the_order_of_the_calls_does_not_change_a_pane(cdrs: list[Cdr], rng: object) -> None:
    _, calls, _ = columns(cdrs)
    order = list(range(len(cdrs)))
    rng.shuffle(order)  # type: ignore[attr-defined]
    one, other = (to_panes(c, MINUTE, LAYOUT, WANTED) for c in (calls, calls.take(np.array(order, np.intp))))
    for a, b in zip(one, other, strict=True):
        assert a.start_ms == b.start_ms
        assert a.sums.tolist() == b.sums.tolist()
        for which in KEY_SETS:
            assert key_counts_of(a.keys(which)) == key_counts_of(b.keys(which))
        assert sorted(zip(a.evidence.call_id, a.evidence.mask.tolist(), strict=True)) == sorted(
            zip(b.evidence.call_id, b.evidence.mask.tolist(), strict=True)
        )


@pytest.mark.parametrize("end", [T0, T0 + MINUTE - 1, T0 - 1])
def test_a_call_on_the_edge_is_in_one_pane_alone(end: int) -> None:
    """A pane is [start, start + width)."""
    _, calls, _ = columns([cdr(start_ms=T0 - MINUTE, end_ms=end)])
    panes = to_panes(calls, MINUTE, LAYOUT, WANTED)
    assert [pane.start_ms for pane in panes] == [end // MINUTE * MINUTE]
    assert panes[0].sums[0, BIT["rows"]] == 1


def test_calls_a_century_apart_are_two_panes_not_a_million() -> None:
    first, last = 631_152_000_000, 4_102_444_799_999
    _, calls, _ = columns([cdr(start_ms=at, end_ms=at, call_id=str(at), tenant_id=f"t{at}") for at in (last, first)])
    panes = to_panes(calls, MINUTE, LAYOUT, WANTED)
    assert [pane.start_ms for pane in panes] == [first, last // MINUTE * MINUTE]
    assert [pane.tenant.tolist() for pane in panes] == [[1], [0]]


@pytest.mark.parametrize("most", [2, 2**31 - 2])
def test_a_century_of_millions_of_tenants_is_sorted_by_pane_tenant_and_time(most: int) -> None:
    """Pane, tenant and time then do not fit into the single number by which calls are otherwise sorted."""
    first, last = 631_152_000_000, 4_102_444_799_999
    ends = [last, first + 3, first + 1, last - 1, first + 2, first]
    cdrs = [cdr(start_ms=at, end_ms=at, call_id=f"c{row}", callee=f"{row}") for row, at in enumerate(ends)]
    _, calls, _ = columns(cdrs)
    calls.tenant = np.array([most, most, 1, 0, most, most], np.int32)
    panes = to_panes(calls, MINUTE, LAYOUT, WANTED)
    assert [pane.start_ms for pane in panes] == [first, last // MINUTE * MINUTE]
    assert [pane.tenant.tolist() for pane in panes] == [[1, most], [0, most]]
    assert [pane.sums[:, BIT["rows"]].tolist() for pane in panes] == [[1, 3], [1, 1]]
    assert [pane.evidence.call_id.tolist() for pane in panes] == [["c2", "c5", "c4", "c1"], ["c3", "c0"]]
