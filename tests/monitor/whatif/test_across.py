"""What tenants have in common: against plain loops on random calls, and bounded."""

import random
from collections import defaultdict
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from monitor.whatif.across import SharedUse, standing_bans
from monitor.whatif.key_sample import SKETCH, KeyedHash, KeySample, Sketch, in_common
from schemas import codec
from schemas.outputs import Enforcement, EnforcementData, Evidence, PolicyRef, Reason

T0 = 1_772_409_600_000
HOUR = 3_600_000
KEY = b"secret"


def call(tenant: str, at_ms: int, callee: str, **fields: Any) -> object:
    base = {"type": "cdr", "call_id": f"{tenant}{at_ms}{callee}", "tenant_id": tenant, "direction": "outbound"}
    times = {"start_ms": at_ms, "answer_ms": at_ms, "end_ms": at_ms + 5_000, "outcome": "answered"}
    return codec.convert({**base, **times, "caller": "100", "callee": callee, **fields})


def tenant(name: str, owner: str | None, at_ms: int = T0) -> object:
    raw = {"type": "tenant", "tenant_id": name, "declared_businesses": [], "numbers": [], "updated_ms": at_ms}
    return codec.convert({**raw, "owner_id": owner})


def ban(id_: str, name: str, at_ms: int, **fields: Any) -> Enforcement:
    data: dict[str, Any] = {"tenant_id": name, "kind": "ban", "status": "final", "behaviour": "b", "clause": 1}
    data |= {"tier": "severe", "actions": (), "proposed_actions": (), "refunds": "frozen", "rule_id": "b"}
    data |= {"policy": PolicyRef("p", "1", ""), "decided_ms": at_ms, "review_by_ms": None, "window": None}
    data |= {"measure": None, "evidence": Evidence(), "violations_on_record": 1, "reverses": None, "supersedes": None}
    return Enforcement(
        id=id_, subject=name, time="", data=EnforcementData(**data | {"reason": Reason("", "")} | fields)
    )


@pytest.mark.parametrize("seed", range(4))
def test_no_finding_differs_from_a_plain_loop(seed: int) -> None:
    print(f"seed {seed}")
    rng = random.Random(seed)
    names = [f"t{n}" for n in range(6)]
    owner = {name: rng.choice(("o1", "o2", None)) for name in names}
    use = SharedUse(5, "Asia/Shanghai", KEY)
    for name in names:
        use.add(tenant(name, "former", T0 - 1))
        use.add(tenant(name, owner[name], T0))
    calls = []
    for n in range(1_500):
        fields = {"caller": f"+86{rng.randrange(9)}", "consent_id": rng.choice((None, f"c{rng.randrange(300)}"))}
        calls.append(call(rng.choice(names), T0 + n * HOUR // 40, f"+861380000{rng.randrange(120):04}", **fields))
        use.add(calls[-1])
    bans = [ban("e1", "t1", T0 + 10 * HOUR), ban("e2", "t2", T0 + 20 * HOUR)]
    found = use.report(bans)
    attempts: dict[tuple[str, str, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    consents: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    reused = set()
    for one in calls:
        day = datetime.fromtimestamp(one.start_ms / 1000, ZoneInfo("Asia/Shanghai")).date().isoformat()
        if owner[one.tenant_id]:
            attempts[owner[one.tenant_id], one.callee, day][one.tenant_id] += 1
        if one.consent_id:
            consents[one.consent_id][one.tenant_id] += 1
        for banned in bans:
            before = any(o.tenant_id == banned.subject and o.caller == one.caller for o in calls)
            if before and one.end_ms > banned.data.decided_ms and one.tenant_id not in ("t1", "t2"):
                reused.add((one.caller, banned.subject, one.tenant_id))
    joint = {key: dict(by) for key, by in attempts.items() if len(by) > 1 and sum(by.values()) > 5}
    assert {(one.owner_id, one.callee, one.day): one.attempts for one in found.joint_callees} == joint
    assert joint
    shared = {key: dict(by) for key, by in consents.items() if len(by) > 1}
    assert {one.consent_id: one.calls for one in found.shared_consents} == shared
    assert {(one.caller, one.banned_tenant_id, one.tenant_id) for one in found.reused_callers} == reused
    assert (found.callees_kept, found.callers_kept, found.consents_kept) == (1.0, 1.0, 1.0)
    assert not found.overlaps, "all call the same few numbers: chance explains what they have in common"


def test_two_tenants_with_one_list_stand_out_and_others_do_not() -> None:
    rng = random.Random(7)
    numbers = [f"+86138{n:08}" for n in range(20_000)]
    bought = rng.sample(numbers, 2_000)
    use = SharedUse(5, "UTC", KEY)
    for name in ("a", "b", "c", "d", "e"):
        for callee in rng.sample(bought if name in "ab" else numbers, 1_500):
            use.add(call(name, T0, callee))
    [overlap] = use.report(()).overlaps
    assert overlap.tenant_ids == ("a", "b")
    assert 800 < overlap.in_common < 1_450, "1,125 on average"
    assert overlap.by_chance < 500


def test_a_ban_that_was_taken_back_or_superseded_does_not_stand() -> None:
    events = [ban("e1", "t", T0), ban("e2", "t", T0, supersedes="e1"), ban("e3", "u", T0)]
    events.append(ban("e4", "u", T0, kind="reversal", reverses="e3"))
    assert [one.id for one in standing_bans(events)] == ["e2"]


def test_too_many_keys_leave_a_sample_whose_uses_are_complete() -> None:
    sample = KeySample(KeyedHash(KEY), most=500)
    for at_ms in range(3):
        for key in range(5_000):
            for name in ("a", "b")[: 1 + key % 2]:
                sample.add((f"k{key}",), name, at_ms)
    assert sum(map(len, sample.keys.values())) <= 500
    assert 0 < sample.share < 0.1
    for (key,), uses in sample.keys.items():
        assert len(uses) == 1 + int(key[1:]) % 2
        assert all((use.count, use.first_ms, use.last_ms) == (3, 0, 2) for use in uses.values())
    assert len(sample.keys) == pytest.approx(5_000 * sample.share, rel=0.4)


def test_a_sketch_is_bounded_and_estimates_what_sets_have_in_common() -> None:
    a, b, small = Sketch(), Sketch(), Sketch()
    hash_of = KeyedHash(KEY).of
    for n in range(6_000):
        a.add(hash_of(f"{n}"))
        b.add(hash_of(f"{n + 3_000}"))
    for n in range(100):
        small.add(hash_of(f"{n}"))
        small.add(hash_of(f"{n}"))
    assert len(a.hashes) == SKETCH
    assert (small.size, in_common(small, small)) == (100, 100)
    assert a.size == pytest.approx(6_000, rel=0.2)
    assert in_common(a, b) == pytest.approx(3_000, rel=0.35)


def test_a_tenant_that_chooses_numbers_by_their_hashes_does_not_push_out_the_keys_of_others() -> None:
    guessed, rng = KeyedHash(b""), random.Random(3)
    chosen = sorted((f"h{n}" for n in range(40_000)), key=guessed.of)[:800]
    samples = {key: KeySample(KeyedHash(key), most=500) for key in (b"", rng.randbytes(32))}
    for sample in samples.values():
        for key in (*chosen, *(f"k{n}" for n in range(3_000))):
            sample.add((key,), "a", T0)
    kept = {key: sum(name.startswith("k") for (name,) in sample.keys) for key, sample in samples.items()}
    assert kept[b""] < 50, "the attack works where the key is known"
    assert kept.popitem()[1] > 250
