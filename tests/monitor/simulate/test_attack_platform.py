"""The platforms to try a policy on: reproducible, valid, and each strategy keeps out of the rule that it is against."""

from collections import Counter, defaultdict
from pathlib import Path

import pytest

from monitor.policy.load import load
from monitor.replay.run import replay
from monitor.simulate.attack.platform import ALL_KINDS, DrawnTenant, draw_platform
from monitor.simulate.attack.streams import TenantKind
from schemas import codec
from schemas.inputs import Cdr

SEED, DAYS, HOUR_MS, DAY_MS = 7, 2, 3_600_000, 86_400_000
BY_NAME = {kind.name: kind for kind in ALL_KINDS}


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[DrawnTenant]]:
    path = tmp_path_factory.mktemp("platform") / "calls.jsonl"
    return path, draw_platform(SEED, DAYS, path)


@pytest.fixture(scope="module")
def calls(platform: tuple[Path, list[DrawnTenant]]) -> dict[str, list[Cdr]]:
    found: dict[str, list[Cdr]] = defaultdict(list)
    for line in platform[0].read_bytes().splitlines():
        call = codec.read(line)
        assert isinstance(call, Cdr)
        found[call.tenant_id].append(call)
    return found


def drawn(path: Path, kinds: list[TenantKind], seed: int = SEED) -> bytes:
    draw_platform(seed, DAYS, path, kinds=kinds)
    return path.read_bytes()


def talk_s(calls: list[Cdr]) -> list[float]:
    return [(call.end_ms - call.answer_ms) / 1000 for call in calls if call.answer_ms is not None]


def per(calls: list[Cdr], width_ms: int) -> Counter[int]:
    return Counter(call.end_ms // width_ms for call in calls)


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(tmp_path: Path) -> None:
    kinds = [BY_NAME["padded-talk"], BY_NAME["dispatcher"]]
    first = drawn(tmp_path / "a", kinds)
    assert drawn(tmp_path / "b", kinds) == first
    assert drawn(tmp_path / "c", kinds, SEED + 1) != first


def test_the_calls_of_a_kind_do_not_depend_on_the_other_kinds(tmp_path: Path, calls: dict[str, list[Cdr]]) -> None:
    draw_platform(SEED, DAYS, tmp_path / "alone", kinds=[BY_NAME["courier"]])
    alone = [codec.read(line) for line in (tmp_path / "alone").read_bytes().splitlines()]
    assert [(each.start_ms, each.callee) for each in alone if isinstance(each, Cdr)] == [
        (each.start_ms, each.callee) for each in calls["courier"]
    ]


def test_every_call_is_accepted_and_no_tenant_is_bad_before_its_first_call(
    platform: tuple[Path, list[DrawnTenant]], calls: dict[str, list[Cdr]]
) -> None:
    path, tenants = platform
    summary = replay([path], load(None)).summary
    assert summary.rejected == summary.late == summary.duplicates == 0
    assert len({tenant.tenant_id for tenant in tenants}) == len(ALL_KINDS) == len(calls)
    for tenant in tenants:
        assert tenant.calls == len(calls[tenant.tenant_id]) > 0
        assert (tenant.bad_from_ms is None) == tenant.kind.honest
        if tenant.bad_from_ms is not None:
            assert tenant.bad_from_ms >= min(call.start_ms for call in calls[tenant.tenant_id])


def test_padded_talk_has_no_short_call(calls: dict[str, list[Cdr]]) -> None:
    for kind in ("padded-talk", "padded-live-list"):
        assert min(talk_s(calls[kind])) > 6


def test_low_volume_and_bursts_stay_under_the_gates(calls: dict[str, list[Cdr]]) -> None:
    assert max(per(calls["low-volume"], DAY_MS).values()) < 85
    assert max(per(calls["one-ring-third"], HOUR_MS).values()) < 110
    cancelled = [call for call in calls["one-ring-third"] if call.outcome == "cancelled"]
    assert 0.2 < len(cancelled) / len(calls["one-ring-third"]) < 0.5
    assert all(call.ring_ms is not None and call.end_ms - call.ring_ms < 4_000 for call in cancelled)


def test_a_skipped_block_has_no_neighbours(calls: dict[str, list[Cdr]]) -> None:
    callees = {int(call.callee[1:]) for call in calls["every-second-number"]}
    assert not any(callee - 1 in callees for callee in callees)


def test_two_callees_are_called_far_above_the_limit(calls: dict[str, list[Cdr]]) -> None:
    days = defaultdict(list)
    for call in calls["two-called-often"]:
        days[call.start_ms // DAY_MS].append(call.callee)
    top = Counter(days[min(days)]).most_common(3)
    assert top[1][1] >= 25 > 10 > top[2][1]


def test_consent_is_missing_or_the_same_for_all(calls: dict[str, list[Cdr]]) -> None:
    assert len({call.consent_id for call in calls["one-consent"] if call.outcome == "answered"} - {None}) == 1
    answered = [call for call in calls["no-consent"] if call.outcome == "answered"]
    assert sum(call.consent_id is not None for call in answered) / len(answered) < 0.2


def test_a_platform_may_leave_the_optional_fields_empty(tmp_path: Path) -> None:
    draw_platform(SEED, 2, tmp_path / "bare", kinds=[BY_NAME["sales-desk"]], optional=False)
    for line in (tmp_path / "bare").read_bytes().splitlines():
        call = codec.read(line)
        assert isinstance(call, Cdr)
        assert (call.consent_id, call.hangup_by, call.ring_ms, call.answered_by) == (None, None, None, None)
