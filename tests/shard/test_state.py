"""State: panes and heads come back as they were, unknown formats are refused, only what is needed is kept."""

import random
from typing import Any

import msgspec
import numpy as np
import pytest
import zstandard
from court import Court, escalation, rule
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from shard_samples import DAY, HOUR, LAYOUT, MINUTE, T0, cdr, columns, policy_of, some_cdrs, tries

from monitor.shard.fields import BIT
from monitor.shard.pane import Pane, seal
from monitor.shard.parties import KeyCounts
from monitor.shard.shard import Shard
from monitor.shard.state import FORMAT, PaneStore, ShardHead, StateFormatError, decode_head
from schemas.inputs import Cdr

WANTED = ((BIT["attempts"], -1), (BIT["answered"], -1))


def plain(pane: Pane) -> dict[str, Any]:
    """All that a pane holds, as lists."""
    out: dict[str, Any] = {"start_ms": pane.start_ms, "tenant": pane.tenant.tolist(), "sums": pane.sums.tolist()}
    for name, keys in (("callees", pane.callees), ("callers", pane.callers)):
        out[name] = [getattr(keys, f).tolist() for f in ("key", "owner", "count", "numeric")] + [keys.levels]
    out["evidence"] = [getattr(pane.evidence, f).tolist() for f in ("tenant", "end_ms", "mask", "call_id")]
    return out


def dtypes(pane: Pane) -> list[str]:
    keys, rows = pane.callees, pane.evidence
    arrays: list[NDArray[Any]] = [pane.tenant, pane.sums, keys.key, keys.owner, keys.count, keys.numeric]
    arrays += [rows.tenant, rows.end_ms, rows.mask, rows.call_id]
    return [str(array.dtype) for array in arrays]


def reloaded(panes: list[Pane], hours: list[Pane]) -> tuple[list[Pane], list[Pane]]:
    store = PaneStore(DAY, 30 * DAY)
    store.add(panes)
    for hour in hours:
        store.add_hour(hour)
    written, gone = store.flush(T0)
    assert not gone
    return PaneStore(DAY, 30 * DAY).load(dict(reversed(written.items())))


@tries(40)
@given(some_cdrs(most=30), st.booleans())
def test_a_pane_comes_back_as_it_was(cdrs: list[Cdr], parties: bool) -> None:
    _, calls, _ = columns(cdrs)
    panes = seal(calls, MINUTE, LAYOUT, WANTED, parties)
    fine, hours = reloaded(panes, panes[:1])
    assert list(map(plain, fine)) == list(map(plain, panes))
    assert list(map(dtypes, fine)) == list(map(dtypes, panes))
    assert list(map(plain, hours)) == list(map(plain, panes[:1]))


def test_the_levels_of_a_sampled_pane_come_back() -> None:
    rng = np.random.default_rng(3)
    keys = np.unique(rng.integers(0, 2**63, 40_000).astype(np.uint64))
    thinned = KeyCounts.of(keys, np.full(len(keys), 7, np.int32), np.ones(len(keys), np.bool_))
    assert thinned.levels == {7: 1}
    _, calls, _ = columns([cdr()])
    (pane,) = seal(calls, MINUTE, LAYOUT, WANTED, False)
    sampled = Pane(pane.start_ms, pane.tenant, pane.sums, thinned, pane.callers, pane.evidence)
    (back,), _ = reloaded([sampled], [])
    assert plain(back) == plain(sampled)


def stored_pane() -> bytes:
    _, calls, _ = columns([cdr()])
    store = PaneStore(DAY, DAY)
    store.add(seal(calls, MINUTE, LAYOUT, WANTED, True))
    return next(iter(store.panes.values()))


@pytest.mark.parametrize(
    "change",
    [
        lambda fields: [FORMAT + 1, *fields[1:]],
        lambda fields: [FORMAT + 1],
        lambda fields: [0, {"another": "shape"}, *fields[3:]],
    ],
)
def test_a_pane_of_an_unknown_format_is_refused_whatever_else_is_new_in_it(change: Any) -> None:
    fields = msgspec.msgpack.decode(zstandard.decompress(stored_pane()))
    blob = zstandard.compress(msgspec.msgpack.encode(change(fields)))
    with pytest.raises(StateFormatError, match=f"knows {FORMAT}"):
        PaneStore(DAY, DAY).load({f"f{T0:013d}": blob})


@pytest.mark.parametrize("change", [{"format": FORMAT + 1}, {"format": FORMAT + 1, "names": 7, "more": [1]}])
def test_a_head_of_an_unknown_format_is_refused_whatever_else_is_new_in_it(change: dict[str, Any]) -> None:
    head = msgspec.msgpack.decode(Shard(policy_of(), keep_state=True).snapshot())
    with pytest.raises(StateFormatError, match=f"knows {FORMAT}"):
        decode_head(msgspec.msgpack.encode({**head, **change}))
    with pytest.raises(StateFormatError):
        Shard(policy_of(), keep_state=True).restore(msgspec.msgpack.encode({**head, **change}), {})


def head_of(shard: Shard) -> ShardHead:
    return decode_head(shard.snapshot())


class StoredCourt(Court):
    """A court whose shard keeps its state and can be made anew from it."""

    def __init__(self, **sections: Any) -> None:
        super().__init__(**sections)
        self.policy = self.shard.policy
        self.shard = Shard(self.policy, keep_state=True)
        self.stored: dict[str, bytes] = {}

    def restart(self) -> None:
        """Another shard, from the head and the stored panes alone."""
        fresh, gone = self.shard.stored_panes.flush(self.shard.at_ms)
        self.stored = {key: blob for key, blob in {**self.stored, **fresh}.items() if key not in gone}
        snapshot = self.shard.snapshot()
        self.shard = Shard(self.policy, keep_state=True)
        self.shard.restore(snapshot, self.stored)


def busy_court() -> StoredCourt:
    court = StoredCourt(
        rules=[
            rule("one", cooldown="20m", step="5m"),
            rule("ask", mode="review", behaviour="no_consent"),
            rule("long", window="72h", step="1h", metric="answered", above=2, behaviour="undeclared_business"),
            rule("crowd", metric="complainants", above=1, window="24h", step="1h", mode="shadow"),
        ],
        escalations=[escalation(at_least=2)],
    )
    court.tenant(0, "甲公司")
    court.short_calls(1, 2, 3)
    court.short_calls(4, tenant="bravo")
    court.complaint(5, complainant="w1")
    court.complaint(6, "received", name="p2", complainant="w2")
    court.likely_ban(7)
    court.application(8, "小额贷款中介")
    court.review(9, "overturn", "cwe-unknown")
    court.complaint(500, name="p3", complainant="w3")  # waits
    court.finding(501, name="f3")
    return court


def test_a_head_comes_back_as_it_was() -> None:
    court = busy_court()
    court.until(60)
    before = head_of(court.shard)
    assert (len(before.waiting), len(before.firing), len(before.standings)) == (2, 2, 2)
    court.restart()
    after = head_of(court.shard)
    assert msgspec.to_builtins(after.standings) == msgspec.to_builtins(before.standings)
    assert sorted(after.waiting, key=repr) == sorted(before.waiting, key=repr)
    for name in ("at_ms", "sealed_ms", "names", "firing", "spans", "format"):
        assert getattr(after, name) == getattr(before, name), name


@pytest.mark.parametrize("seed", range(6))
def test_restarts_anywhere_change_nothing_that_is_decided(seed: int) -> None:
    """Minutes, hours and days apart; with alerts, cool-downs, pending cases and waiting records across them."""
    print(f"seed {seed}")
    rng = random.Random(seed)
    whole, stopped = busy_court(), busy_court()
    minutes = [*sorted(rng.sample(range(10, 500), 8)), 600, 3_000, 5_000, 6_000, 11_000]
    said: dict[str, list[Any]] = {"whole": [], "stopped": []}
    for minute in minutes:
        for name, court in (("whole", whole), ("stopped", stopped)):
            court.until(minute)
            said[name] += [court.sink.enforcement, court.sink.shadow, court.sink.alerts]
        stopped.restart()
    assert said["stopped"] == said["whole"]
    assert sum(map(len, said["whole"])) > 8


def test_what_escalations_have_used_and_what_is_unused_again_outlives_a_restart() -> None:
    """A referral that fell, one that was overturned, one that still waits when its violations are taken back."""
    whole, stopped = (StoredCourt(escalations=[escalation(at_least=2)]) for _ in range(2))
    said: dict[str, list[Any]] = {"whole": [], "stopped": []}
    for name, court in (("whole", whole), ("stopped", stopped)):

        def until(minute: float, name: str = name, court: StoredCourt = court) -> list[Any]:
            said[name] += court.until(minute)
            if court is stopped:
                court.restart()
            return court.sink.enforcement

        for minute in (1, 2):
            court.complaint(minute, name=f"p{minute}")
        until(3)
        court.complaint(4, "dismissed", name="p1")
        assert [e.data.kind for e in until(5)] == ["reversal", "reversal"]
        court.complaint(6, name="p6")
        referral = until(7)[-1]
        assert referral.data.measure.numerator == 2
        court.review(8, "overturn", referral)
        until(9)
        court.complaint(10, name="p10")
        assert len(until(11)) == 1
        court.complaint(12, name="p12")
        until(13)
        court.complaint(14, "dismissed", name="p10")
        assert len(until(15)) == 2
    assert said["stopped"] == said["whole"]


def test_no_more_panes_are_kept_than_windows_can_need() -> None:
    """Fine panes from the beginning of an hour, for the longest fine window; hours for the longest window."""
    court = StoredCourt(rules=[rule("fine", window="2h"), rule("long", window="72h", step="1h", metric="answered")])
    for hour in range(200):
        court.short_calls(*(hour * 60 + minute for minute in range(0, 60, 7)))
        court.until(hour * 60 + 60)
        court.restart()
        assert len([key for key in court.stored if key[0] == "f"]) <= 3 * 12
        assert len([key for key in court.stored if key[0] == "h"]) <= 72
    end_ms = T0 + 200 * HOUR
    assert min(key for key in court.stored if key[0] == "h") == f"h{end_ms - 72 * HOUR:013d}"


def test_what_is_dropped_is_told_once_and_what_is_new_too() -> None:
    _, calls, _ = columns([cdr()])
    store = PaneStore(HOUR, 0)
    store.add(seal(calls, MINUTE, LAYOUT, WANTED, False))
    (key,) = store.panes
    assert store.flush(T0 + MINUTE) == ({key: store.panes[key]}, set())
    assert store.flush(T0 + MINUTE) == ({}, set())
    assert store.flush(T0 + 2 * HOUR - 1) == ({}, set())
    assert store.flush(T0 + 2 * HOUR) == ({}, {key})
    assert store.flush(T0 + 2 * HOUR) == ({}, set())
