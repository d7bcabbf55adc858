"""The measures of an hour: what each rule evaluated at its end, of each tenant that called in it."""

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from helpers.thorough import thorough
from monitor.core.measures.measure_columns import NOT_ENOUGH, MeasuredRule
from monitor.core.rules.wilson import wilson_bound
from monitor.policy.load import load, loads
from monitor.policy.model import Policy, Rule
from monitor.replay.outcome import Outcome
from monitor.replay.run import ReplayOptions, replay
from oracle.scenario_generator import scenario
from schemas import codec
from schemas.measures import TenantHour
from schemas.outputs import JudgedWindow

HOUR = 3_600_000
NOON = 1_772_452_800_000


def judged(seed: int, folder: Path, jobs: int = 1) -> tuple[Outcome, Policy]:
    made = scenario(seed)
    policy = loads(json.dumps(made.policy), "policy.json")
    paths = []
    for number, lines in enumerate(made.files):
        paths.append(folder / f"{number}.jsonl")
        paths[-1].write_text("".join(line + "\n" for line in lines))
    options = ReplayOptions(
        windows=True,
        measures=True,
        not_after_ms=made.not_after_ms,
        enforce_from_ms=made.enforce_from_ms,
        jobs=jobs,
    )
    return replay(paths, policy, options), policy


def rule_of(policy: Policy, tenant: str, rule_id: str, end_ms: int) -> Rule:
    for override in policy.overrides:
        if (override.tenant, override.rule.id) == (tenant, rule_id) and end_ms < override.expires_ms:
            return override.rule
    return next(rule for rule in policy.rules if rule.id == rule_id)


def is_measured(window: JudgedWindow) -> bool:
    return window.denominator is None or window.denominator > 0


@pytest.mark.parametrize("seed", thorough(range(18), 3))
def test_measures_are_those_of_the_windows_that_end_with_the_hour(seed: int, tmp_path: Path) -> None:
    outcome, policy = judged(seed, tmp_path)
    exempt = {(one.tenant, rule_id, one.expires_ms) for one in policy.every_exemption() for rule_id in one.rules}
    windows: dict[tuple[str, int], dict[str, JudgedWindow]] = {}
    for window in outcome.windows:
        left_out = any((window.tenant_id, window.rule_id) == one[:2] and window.end_ms < one[2] for one in exempt)
        if not left_out and is_measured(window):
            windows.setdefault((window.tenant_id, window.end_ms), {})[window.rule_id] = window
    measured, compared = [msgspec.json.decode(value, type=TenantHour) for value in outcome.measures], 0
    assert [codec.encode(one) for one in measured] == outcome.measures
    assert [(one.hour_ms, one.tenant_id) for one in measured] == sorted({(m.hour_ms, m.tenant_id) for m in measured})
    last_ms = outcome.summary.last_event_ms or 0
    for one in measured:
        end_ms = one.hour_ms + HOUR
        if end_ms > last_ms:  # the last windows of shorter steps end before this hour
            continue
        expected = windows.get((one.tenant_id, end_ms), {})
        assert [measure.rule_id for measure in one.rules] == [r.id for r in policy.rules if r.id in expected]
        shares = []
        for measure in one.rules:
            window, rule = expected[measure.rule_id], rule_of(policy, one.tenant_id, measure.rule_id, end_ms)
            assert (measure.numerator, measure.denominator) == (window.numerator, window.denominator)
            assert window.value is not None
            assert measure.value == pytest.approx(window.value, abs=6e-7)
            assert measure.threshold == rule.threshold
            if rule.confidence is not None and window.denominator is not None:
                counts = np.array([window.numerator]), np.array([window.denominator])
                bound = float(wilson_bound(*counts, rule.confidence, rule.direction == "above")[0])
                assert measure.bound == pytest.approx(bound, abs=6e-7)
            else:
                assert measure.bound is None
            shares.append(MeasuredRule(rule, window.numerator, window.denominator or 1).encode()[1])
            compared += 1
        most = max(shares, default=NOT_ENOUGH)
        assert one.share == pytest.approx(max(most, 0.0), abs=6e-4)
        assert one.worst == (None if most == NOT_ENOUGH else one.rules[shares.index(most)].rule_id)
    print(len(measured), "records,", compared, "measures")


def test_each_tenant_has_a_record_for_each_hour_in_which_it_called(tmp_path: Path) -> None:
    """Late calls and duplicates count for nothing; complaints alone make no record."""
    lines: list[dict[str, Any]] = [
        {"type": "complaint", "complaint_id": "k", "tenant_id": "quiet", "category": "fraud", "status": "verified"}
        | dict.fromkeys(("reported_ms", "updated_ms"), NOON)
    ]
    lines += [call("a", n, NOON + n * 50 * 60_000) for n in range(4)]  # 12:00, 12:50, 13:40, 14:30
    lines += [call("b", 0, NOON + HOUR - 1), call("b", 1, NOON + 5 * HOUR), call("b", 2, NOON + 2 * HOUR)]
    path = tmp_path / "calls.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in sorted(lines[:-1], key=at_ms)) + json.dumps(lines[-1]))
    outcome = replay([path], load(None), ReplayOptions(measures=True))
    assert outcome.summary.late == 1
    found = [json.loads(value) for value in outcome.measures]
    hours = [(one["tenant_id"], (one["hour_ms"] - NOON) // HOUR) for one in found]
    assert hours == [("a", 0), ("b", 0), ("a", 1), ("a", 2), ("b", 5)]


@pytest.mark.parametrize("seed", thorough([4, 1], 1))
def test_several_processes_write_the_same_measures(seed: int, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    assert judged(seed, tmp_path / "one")[0].measures == judged(seed, tmp_path / "two", jobs=2)[0].measures


def call(tenant: str, number: int, end_ms: int) -> dict[str, Any]:
    made: dict[str, Any] = {
        "type": "cdr",
        "call_id": f"c{number}",
        "tenant_id": tenant,
        "direction": "outbound",
        "outcome": "answered",
    }
    made |= {"caller": "+8613800000000", "callee": "+8613900000000", "end_ms": end_ms}
    return made | dict.fromkeys(("start_ms", "answer_ms"), end_ms - 3_000)


def at_ms(record: dict[str, Any]) -> int:
    return int(record.get("end_ms") or record["updated_ms"])
