"""The bench measures the replay that users run: the same decisions, all phases present, and correct sums."""

import json
from pathlib import Path

import numpy as np
import pytest

from bench import policies, run
from bench.child import digest
from bench.measure import Bench, DisagreementError, Result
from bench.memory import size_of
from bench.phases import IN_THE_EXTENSION, PHASES, REST, Clock, profiled
from bench.scenarios import SCENARIOS
from bench.workload import SEED, make
from monitor.decoding import native
from monitor.policy.load import load
from monitor.replay.output import write
from monitor.replay.run import replay

BASE = SCENARIOS[0]


@pytest.mark.thorough
def test_the_bench_decides_what_a_plain_replay_decides(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = tmp_path / "found.json"
    status = run.main(["--quick", "--only", "base,jobs2", "--cache", str(tmp_path), "--json", str(found)])
    printed = capsys.readouterr()
    print("seed", SEED)
    assert status == 0, printed.err
    base, two_jobs = json.loads(found.read_text())["scenarios"]

    made = make(BASE.small().workload, tmp_path)
    policy = load(None)
    plain = replay([made.path], policy)
    write(plain, policy, tmp_path / "plain", windows=False)
    assert plain.summary.enforcement > 0
    assert plain.summary.late > 0
    assert made.records == len(Path(made.path).read_bytes().splitlines()) == plain.summary.read

    decoded, judged = (base["pairs"][0][which] for which in ("reference", "replay"))
    by_one, by_two = (two_jobs["pairs"][0][which] for which in ("reference", "replay"))
    assert decoded["records"] == made.records
    for answer in (judged, by_one, by_two):
        assert answer["records"] == made.records
        assert answer["digest"] == digest(tmp_path / "plain")

    profile = json.loads(found.read_text())["phases"]["base"]
    assert profile["digest"] == digest(tmp_path / "plain")
    apart = IN_THE_EXTENSION if native.enabled else frozenset()
    assert {name for name, _, calls in profile["phases"] if calls} == {*PHASES, REST} - apart

    state = json.loads(found.read_text())["states"]["base"]
    assert state["stored"]["records"] == made.records
    assert state["stored"]["tenants"] == state["restored"]["tenants"] == plain.summary.tenants
    assert all(
        size > 0 for part, size in state["restored"]["parts"].items() if part not in ("open panes", "talk times")
    )
    early = json.loads(found.read_text())["early_evaluations"]["base"]
    assert early["tenants"] > 0
    assert [case["evaluations"] > 0 for case in early["cases"]] == [True] * 4
    assert sum(case["alerts"] for case in early["cases"]) > 0
    assert "| base: " in printed.out
    assert "| total |" in printed.out


def test_replays_that_differ_are_not_measured_as_if_they_were_equal(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(
        [
            {"records": 9, "path": "", "calls": 9, "size_bytes": 1},
            {"records": 9},
            {"records": 9, "digest": "a"},
            {"records": 9},
            {"records": 9, "digest": "b"},
        ]
    )
    monkeypatch.setattr("bench.measure.child", lambda task, **arguments: next(answers))
    with pytest.raises(DisagreementError, match="base: the decisions differ"):
        Bench(Path(), lambda text: None).measure(BASE, 2)


def test_records_that_the_replay_did_not_read_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(
        [{"records": 9, "path": "", "calls": 9, "size_bytes": 1}, {"records": 9}, {"records": 8, "digest": "a"}]
    )
    monkeypatch.setattr("bench.measure.child", lambda task, **arguments: next(answers))
    with pytest.raises(DisagreementError):
        Bench(Path(), lambda text: None).measure(BASE, 1)


def test_a_ratio_is_that_of_its_pair() -> None:
    pairs = [({"cpu_s": 1.0}, {"cpu_s": 4.0}), ({"cpu_s": 3.0}, {"cpu_s": 6.0}), ({"cpu_s": 2.0}, {"cpu_s": 5.0})]
    result = Result(BASE, 1_000, pairs)
    assert result.ratios == [0.25, 0.5, 0.4]
    assert result.records_per_cpu_s == 200.0


def test_time_within_a_phase_is_not_charged_to_the_phase_around_it() -> None:
    ticks = iter([0, 1, 3, 7, 12, 20])
    clock = Clock(lambda: next(ticks))
    with clock:
        clock.enter("outer")
        clock.enter("inner")
        clock.leave()
        clock.leave()
    assert clock.spent_ns == {REST: 1 + 8, "outer": 2 + 5, "inner": 4}


def test_the_time_before_a_phase_is_counted_apart() -> None:
    ticks = iter([0, 1, 3, 7, 12, 20, 31])
    clock = Clock(lambda: next(ticks))
    with clock:
        clock.enter("loading")
        clock.leave()
        clock.begin(before="start")
        clock.enter("work")
        clock.leave()
    assert clock.spent_ns == {"start": 7, "work": 8, REST: 5 + 11}


def test_profiling_leaves_the_functions_as_they_were() -> None:
    from monitor.core.windows.distinct.key_counts import KeyCounts
    from monitor.decoding import decode as intake

    before = intake.Decoder.lines, vars(KeyCounts)["of_each"]
    with profiled(Clock()):
        assert intake.Decoder.lines is not before[0]
    assert (intake.Decoder.lines, vars(KeyCounts)["of_each"]) == before


def test_a_phase_whose_function_is_gone_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PHASES, "evaluate rules", ("monitor.core.rules.evaluator:RuleEvaluator.no_longer",))
    with pytest.raises(LookupError, match=r"RuleEvaluator\.no_longer no longer exists"), profiled(Clock()):
        pass


def test_views_of_one_array_count_its_data_once() -> None:
    whole = np.zeros(1_000_000, np.int64)
    alone = size_of([whole], set())
    views = size_of([{"a": whole[:10], "b": [whole[10:20]]}], set())
    assert alone >= whole.nbytes
    assert whole.nbytes <= views < 1.01 * alone
    seen: set[int] = set()
    size_of([whole], seen)
    assert size_of([whole[:10]], seen) < 1_000


def test_texts_in_an_array_of_objects_are_counted() -> None:
    texts = np.array(["x" * 1_000 + str(i) for i in range(10)], np.object_)
    assert size_of([texts], set()) > 10_000


@pytest.mark.parametrize(("name", "made_of"), [("rules64", "built-in"), ("baseline64", "baseline")])
def test_the_policy_of_64_rules_has_64_different_ones(name: str, made_of: str) -> None:
    policy = policies.named(name)
    what = {(r.metric, r.window_ms, r.threshold, r.params, r.also, r.direction, r.behaviour) for r in policy.rules}
    assert len(policy.rules) == policies.RULES == len({rule.id for rule in policy.rules})
    assert len(what) > 60
    windows, fewer = ({rule.window_ms for rule in one.rules} for one in (policy, policies.named(made_of)))
    assert len(windows) > len(fewer)
