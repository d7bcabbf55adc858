"""The checker: faults with their places, what a file changes, and files that take too long."""

import pytest

from helpers.console_policies import file_of
from helpers.patience import PATIENCE_S
from monitor.policy.load import loads, to_plain
from monitor.text.bilingual import Bilingual
from streams.console.policies.check_process import CheckGivenUp, CheckProcess
from streams.console.policies.checker import MOST_FAULTS, CheckRequest, check

T = 1_800_000_000_000


def test_every_fault_has_its_line_and_column() -> None:
    report = check(CheckRequest("id: house\nversion: 1\npatch:\n  short-cals: {above: 0.2}\n", T))
    assert report.policy is None
    assert [(one.line, one.column) for one in report.faults] == [(2, 10), (4, 3)]
    assert "did you mean `short-calls`?" in report.faults[1].message.en


def test_faults_beyond_a_number_are_counted() -> None:
    report = check(CheckRequest("id: house\nversion: '1'\n" + "".join(f"k{n}: 1\n" for n in range(300)), T))
    assert (len(report.faults), report.fault_count) == (MOST_FAULTS, 300)


def test_a_valid_file_says_what_it_changes_what_is_odd_and_what_is_judged_later() -> None:
    base = loads(file_of("1"), "f")
    text = file_of("2", 0.35) + (
        "add:\n- {id: rings, behaviour: blind_calling, metric: short_cancel_ratio, above: 0.9, window: 1h, step: 1h,"
        " with: {short_ring_s: 7}, mode: shadow}\nexemptions:\n- {tenant: a, rules: [rings], owner: o, reason: r,"
        " expires: 2020-01-01}\n"
    )
    report = check(CheckRequest(text, T, T, base.sha256, to_plain(base)))
    assert report.policy is not None
    assert (report.policy.id, report.policy.version) == ("house", "2")
    assert report.policy.counts["exemptions"] == 1
    assert [one for one in report.notes if "expired" in one.en]
    changed = {one.what.en: one for one in report.changes}
    assert changed["version: 1 -> 2"].change == "changed"
    assert changed["rule short-calls"].fields == [Bilingual("above：0.3 → 0.35", "above: 0.3 -> 0.35")]
    assert [one.change for what, one in changed.items() if what.startswith("rule rings")] == ["added"]
    assert "rings" in report.later


async def test_the_process_checks_is_killed_when_a_file_takes_too_long_and_starts_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    checks = CheckProcess(within_s=PATIENCE_S)
    try:
        await checks.warm_up()
        assert (await checks.check(CheckRequest(file_of("1"), T))).policy is not None
        slow = "id: a\nversion: '1'\nrules:\n" + "- {a: 1, b: 2, c: 3}\n" * 12_000
        monkeypatch.setattr(checks, "_within_s", 0.1)
        with pytest.raises(CheckGivenUp, match="long"):
            await checks.check(CheckRequest(slow, T))
        monkeypatch.setattr(checks, "_within_s", PATIENCE_S)
        assert (await checks.check(CheckRequest("[" * 200_000, T))).fault_count == 1
    finally:
        await checks.stop()
