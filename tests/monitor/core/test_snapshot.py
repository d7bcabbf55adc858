"""State: panes and heads are restored unchanged, unknown formats are refused, only the necessary state is stored."""

import random
from collections.abc import Iterable
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import strategies as st
from numpy.typing import NDArray

from helpers.shard_harness import StoredShardHarness, escalation, rule
from helpers.shard_samples import (
    BARE_LAYOUT,
    DAY,
    HOUR,
    LAYOUT,
    MINUTE,
    T0,
    cdr,
    columns,
    counted_keys,
    policy_of,
    some_cdrs,
)
from helpers.thorough import examples
from monitor.core.calls.fields import BIT, COUNTED
from monitor.core.codec import FORMAT, StateFormatError, check_head
from monitor.core.shard import Shard
from monitor.core.shard_state import ShardState
from monitor.core.snapshot import NAMES_TOGETHER, ShardCheckpoint, decode_names, encode_names
from monitor.core.windows.pane import KEY_SETS, Pane, to_panes
from monitor.core.windows.pane_store import PaneStore, encode_pane
from schemas.inputs import Cdr

LATER = FORMAT + 1
KNOWN = f"has format [0-9]+; this release reads format {FORMAT}$"
WANTED = ((BIT["attempts"], -1), (BIT["answered"], -1))


def plain(pane: Pane) -> dict[str, Any]:
    """The whole content of a pane, as lists."""
    out: dict[str, Any] = {"start_ms": pane.start_ms, "tenant": pane.tenant.tolist(), "sums": pane.sums.tolist()}
    for name in KEY_SETS:
        keys = pane.keys(name)
        out[name] = [getattr(keys, f).tolist() for f in ("key", "tenant", "count", "numeric", "group")]
        out[name] += [keys.levels, int(keys.unit_bits) if len(keys) else None]
    out["evidence"] = [getattr(pane.evidence, f).tolist() for f in ("tenant", "end_ms", "mask", "call_id")]
    out["talk"] = [getattr(pane.talk, f).tolist() for f in ("tenant", "bucket", "count")]
    return out


def dtypes(pane: Pane) -> list[str]:
    keys, rows = pane.callees, pane.evidence
    arrays: list[NDArray[Any]] = [pane.tenant, pane.sums, keys.key, keys.tenant, keys.count, keys.numeric]
    arrays += [rows.tenant, rows.end_ms, rows.mask, pane.talk.tenant, pane.talk.bucket, pane.talk.count]
    return [str(array.dtype) for array in arrays]


def reloaded(panes: list[Pane], hours: list[Pane]) -> tuple[list[Pane], list[Pane]]:
    store = PaneStore(DAY, 30 * DAY)
    store.add(panes)
    for hour in hours:
        store.add_hour(hour)
    fine, hourly = PaneStore(DAY, 30 * DAY).load(kept(reversed(store.changes(T0).items())))
    return list(fine), list(hourly)


def kept(changes: Iterable[tuple[str, bytes | None]]) -> dict[str, bytes]:
    """The stored entries when these are the first changes."""
    return {key: blob for key, blob in changes if blob is not None}


@examples(some_cdrs(most=30), st.booleans(), fast=15, most=40)
def test_a_pane_comes_back_as_it_was(cdrs: list[Cdr], distinct_keys: bool) -> None:
    _, calls, _ = columns(cdrs)
    panes = to_panes(calls, MINUTE, LAYOUT if distinct_keys else BARE_LAYOUT, WANTED)
    fine, hours = reloaded(panes, panes[:1])
    assert list(map(plain, fine)) == list(map(plain, panes))
    assert list(map(dtypes, fine)) == list(map(dtypes, panes))
    assert list(map(plain, hours)) == list(map(plain, panes[:1]))


def test_a_pane_without_talk_times_is_stored_as_before_they_existed() -> None:
    """Policies without `median_talk_s` keep the bytes of their state."""
    _, calls, _ = columns([cdr(outcome="answered", answer_ms=T0)])
    for layout, elements in ((BARE_LAYOUT, 11), (LAYOUT, 12)):
        (pane,) = to_panes(calls, MINUTE, layout, WANTED)
        assert len(msgspec.msgpack.decode(encode_pane(pane))) == elements


def test_the_levels_of_a_sampled_pane_come_back() -> None:
    rng = np.random.default_rng(3)
    keys = np.unique(rng.integers(0, 2**63, 40_000).astype(np.uint64))
    thinned = counted_keys(keys, np.full(len(keys), 7, np.int32), np.ones(len(keys), np.bool_))
    assert thinned.levels == {7: 1}
    _, calls, _ = columns([cdr()])
    (pane,) = to_panes(calls, MINUTE, BARE_LAYOUT, WANTED)
    sampled = Pane(pane.start_ms, pane.tenant, pane.sums, thinned, pane.callers, pane.evidence)
    (back,), _ = reloaded([sampled], [])
    assert plain(back) == plain(sampled)


def stored_entries() -> dict[str, bytes]:
    harness = StoredShardHarness()
    harness.short_calls(1)
    harness.complaint(1)
    harness.until(5)
    harness.store()
    return harness.stored


@pytest.mark.parametrize("key", ["n0", "t0", "c0.0", f"f{T0:013d}"])
@pytest.mark.parametrize(
    "change",
    [
        lambda fields: [LATER, *fields[1:]],
        lambda fields: [LATER],
        lambda fields: [0, {"another": "shape"}, *fields[3:]],
    ],
)
def test_an_entry_of_an_unknown_format_is_refused_whatever_else_is_new_in_it(key: str, change: Any) -> None:
    stored = stored_entries()
    fields = msgspec.msgpack.decode(stored[key])
    stored[key] = msgspec.msgpack.encode(change(fields))
    with pytest.raises(StateFormatError, match=KNOWN):
        ShardState(Shard(policy_of(), keep_state=True)).restore(head_of(1), stored)


@pytest.mark.parametrize("change", [{"format": LATER}, {"format": LATER, "tenants": "many", "more": [1]}])
def test_a_head_of_an_unknown_format_is_refused_whatever_else_is_new_in_it(change: dict[str, Any]) -> None:
    head = ShardState(Shard(policy_of(), keep_state=True)).head()
    with pytest.raises(StateFormatError, match=KNOWN):
        check_head(msgspec.msgpack.encode({**msgspec.to_builtins(head), **change}))
    head.format = LATER
    with pytest.raises(StateFormatError, match=KNOWN):
        ShardState(Shard(policy_of(), keep_state=True)).restore(head, {})


@pytest.mark.parametrize(
    ("fields", "named"),
    [((), "answered"), ((*COUNTED, "unknown_bit"), "unknown_bit"), ((*COUNTED[1:], COUNTED[0]), "in another order")],
)
def test_a_head_that_counts_other_fields_is_refused(fields: tuple[str, ...], named: str) -> None:
    """A pane's sums have no names: one more field would shift every sum behind it."""
    head = ShardState(Shard(policy_of(), keep_state=True)).head()
    ShardState(Shard(policy_of(), keep_state=True)).restore(head, {})
    head.fields = dict.fromkeys(fields, 0)
    with pytest.raises(StateFormatError, match=f"counts other fields of a call.*{named}.*start the release"):
        ShardState(Shard(policy_of(), keep_state=True)).restore(head, {})


def head_of(tenants: int) -> ShardCheckpoint:
    return ShardCheckpoint(0, 0, -1, tenants, {}, fields=dict.fromkeys(COUNTED, 0))


def test_names_that_are_missing_are_missed() -> None:
    stored = stored_entries()
    for count, entries, message in (
        (1, {}, "lacks n0"),
        (NAMES_TOGETHER + 1, stored, "lacks n1"),
        (2, stored, "names of 1 tenants; its head counts 2"),
    ):
        with pytest.raises(StateFormatError, match=message):
            ShardState(Shard(policy_of(), keep_state=True)).restore(head_of(count), entries)


@pytest.mark.parametrize(
    "steps", [[0], [1], [1, 1], [NAMES_TOGETHER], [NAMES_TOGETHER - 1, 2, 2 * NAMES_TOGETHER, 0, 1]]
)
def test_names_come_back_and_full_entries_are_written_once(steps: list[int]) -> None:
    names: list[str] = []
    stored: dict[str, bytes] = {}
    for step in steps:
        before = len(names)
        names += [f"tenant-{before + n}" for n in range(step)]
        fresh = encode_names(names, before)
        assert len(fresh) <= step // NAMES_TOGETHER + 2
        assert not any(int(key[1:]) < before // NAMES_TOGETHER for key in fresh)
        assert bool(fresh) == bool(step)
        stored |= fresh
        assert decode_names(stored, len(names)) == names


def busy_harness() -> StoredShardHarness:
    harness = StoredShardHarness(
        rules=[
            rule("one", cooldown="20m", step="5m"),
            rule("ask", mode="review", behaviour="no_consent"),
            rule("long", window="72h", step="1h", metric="answered", above=2, behaviour="undeclared_business"),
            rule("crowd", metric="complainants", above=1, window="24h", step="1h", mode="shadow"),
        ],
        escalations=[escalation(at_least=2)],
    )
    harness.tenant(0, "甲公司")
    harness.short_calls(1, 2, 3)
    harness.short_calls(4, tenant="bravo")
    harness.complaint(5, complainant="w1")
    harness.complaint(6, "received", name="p2", complainant="w2")
    harness.likely_ban(7)
    harness.application(8, "小额贷款中介")
    harness.review(9, "overturn", "cwe-unknown")
    harness.complaint(500, name="p3", complainant="w3")  # waits
    harness.finding(501, name="f3")
    return harness


def test_a_head_comes_back_as_it_was() -> None:
    harness = busy_harness()
    harness.until(60)
    harness.store()
    assert (len(harness.shard.evaluator.alert_states.active().firing), harness.head.tenants) == (2, 2)
    assert ShardState(harness.restored()).head() == harness.head
    assert harness.restored().evaluator.alert_states.active() == harness.shard.evaluator.alert_states.active()
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(harness.head), type=ShardCheckpoint) == harness.head


@pytest.mark.parametrize("seed", range(6))
def test_restarts_anywhere_change_nothing_that_is_decided(seed: int) -> None:
    """Minutes, hours and days apart; with alerts, cooldowns, pending cases and waiting records across them."""
    print(f"seed {seed}")
    rng = random.Random(seed)
    whole, stopped = busy_harness(), busy_harness()
    minutes = [*sorted(rng.sample(range(10, 500), 8)), 600, 3_000, 5_000, 6_000, 11_000]
    said: dict[str, list[Any]] = {"whole": [], "stopped": []}
    for minute in minutes:
        for name, harness in (("whole", whole), ("stopped", stopped)):
            harness.until(minute)
            said[name] += [harness.output.enforcement, harness.output.shadow, harness.output.alerts]
        stopped.restart()
    assert said["stopped"] == said["whole"]
    assert sum(map(len, said["whole"])) > 8


def test_used_and_released_violations_of_escalations_survive_a_restart() -> None:
    """An escalation that was withdrawn, one that was overturned, one that is still pending when its violations are
    reversed.
    """
    whole, stopped = (StoredShardHarness(escalations=[escalation(at_least=2)]) for _ in range(2))
    said: dict[str, list[Any]] = {"whole": [], "stopped": []}
    for name, harness in (("whole", whole), ("stopped", stopped)):

        def until(minute: float, name: str = name, harness: StoredShardHarness = harness) -> list[Any]:
            said[name] += harness.until(minute)
            if harness is stopped:
                harness.restart()
            return harness.output.enforcement

        for minute in (1, 2):
            harness.complaint(minute, name=f"p{minute}")
        until(3)
        harness.complaint(4, "dismissed", name="p1")
        assert [e.data.kind for e in until(5)] == ["reversal", "reversal"]
        harness.complaint(6, name="p6")
        referral = until(7)[-1]
        assert referral.data.measure.numerator == 2
        harness.review(8, "overturn", referral)
        until(9)
        harness.complaint(10, name="p10")
        assert len(until(11)) == 1
        harness.complaint(12, name="p12")
        until(13)
        harness.complaint(14, "dismissed", name="p10")
        assert len(until(15)) == 2
    assert said["stopped"] == said["whole"]


def test_no_more_panes_are_kept_than_windows_can_need() -> None:
    """Fine panes from the beginning of an hour, for the longest fine window; hours for the longest window."""
    harness = StoredShardHarness(
        rules=[rule("fine", window="2h"), rule("long", window="72h", step="1h", metric="answered")]
    )
    for hour in range(100):
        harness.short_calls(*(hour * 60 + minute for minute in range(0, 60, 14)))
        harness.until(hour * 60 + 60)
        if hour % 5 == 0:
            harness.restart()
        else:
            harness.store()
        assert len([key for key in harness.stored if key[0] == "f"]) <= 3 * 12
        assert len([key for key in harness.stored if key[0] == "h"]) <= 72
    end_ms = T0 + 100 * HOUR
    assert min(key for key in harness.stored if key[0] == "h") == f"h{end_ms - 72 * HOUR:013d}"


def test_dropped_and_new_panes_are_reported_once() -> None:
    _, calls, _ = columns([cdr()])
    store = PaneStore(HOUR, 0)
    store.add(to_panes(calls, MINUTE, BARE_LAYOUT, WANTED))
    key = f"f{T0:013d}"
    assert list(store.changes(T0 + MINUTE)) == [key]
    assert store.changes(T0 + MINUTE) == {}
    assert store.changes(T0 + 2 * HOUR - 1) == {}
    assert store.changes(T0 + 2 * HOUR) == {key: None}
    assert store.changes(T0 + 2 * HOUR) == {}


def test_panes_that_no_window_needs_are_never_written() -> None:
    _, calls, _ = columns([cdr()])
    store = PaneStore(HOUR, 0)
    store.add(to_panes(calls, MINUTE, BARE_LAYOUT, WANTED))
    assert store.changes(T0 + 2 * HOUR) == {}
    assert store.changes(T0 + 2 * HOUR) == {}
