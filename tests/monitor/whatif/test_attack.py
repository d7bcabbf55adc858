"""How a tried policy's results are counted: by the strongest measured decision since the first unwanted call."""

from pathlib import Path

import pytest

from monitor.policy.load import loads
from monitor.policy.model import Policy
from monitor.simulate.attack.platform import ALL_KINDS
from monitor.whatif.attack import AttackReport, attack

BY_NAME = {kind.name: kind for kind in ALL_KINDS}
RULES = """\
id: tried
version: "1"
extends: none
rules:
- {{id: calls, behaviour: blind_calling, metric: attempts, above: {above}, window: 24h, step: 1h, mode: {mode}}}
"""


def policy(mode: str, above: int = 20) -> Policy:
    return loads(RULES.format(mode=mode, above=above), "tried.yaml")


def tried(policy: Policy, folder: Path, *kinds: str) -> AttackReport:
    return attack(policy, (1, 2), folder, days=2, kinds=[BY_NAME[kind] for kind in kinds])


@pytest.mark.parametrize(("mode", "caught"), [("enforce", "final"), ("review", "review"), ("shadow", "shadow")])
def test_a_tenant_counts_by_its_strongest_decision(mode: str, caught: str, tmp_path: Path) -> None:
    report = tried(policy(mode), tmp_path, "low-volume", "courier")
    assert [[result.caught for result in each.results] for each in report.kinds] == [[caught] * 2] * 2
    assert len(report.wronged) == (2 if mode == "enforce" else 0)
    assert len(report.undecided) == (2 if mode == "shadow" else 0)
    assert report.unseen == []
    assert [each.rules for each in report.kinds] == [["calls"]] * 2
    assert list(tmp_path.iterdir()) == []


def test_an_unseen_tenant_has_neither_decision_nor_time(tmp_path: Path) -> None:
    report = tried(policy("enforce", 10**6), tmp_path, "low-volume")
    assert len(report.unseen) == len(report.undecided) == 2
    assert (report.kinds[0].median_ms, report.kinds[0].rules) == (None, [])


def test_the_time_runs_from_the_first_unwanted_call(tmp_path: Path) -> None:
    """A turncoat is honest on the first day: decisions of that day are not its discovery."""
    report = tried(policy("enforce"), tmp_path, "turncoat")
    assert all(
        result.after_ms is not None and 0 <= result.after_ms < 24 * 3_600_000 for result in report.kinds[0].results
    )


NIGHT = """\
id: tried
version: "1"
extends: none
defaults: {{timezone: {zone}}}
rules:
- {{id: night, behaviour: blind_calling, metric: out_of_hours_ratio, above: 0.5, window: 24h, step: 1h}}
"""


def test_the_platforms_days_are_those_of_the_policys_time_zone(tmp_path: Path) -> None:
    """Else the nights of one zone are the days of another: night callers were missed, and honest tenants wronged."""
    found = {}
    for zone in ("Asia/Shanghai", "America/New_York", "Asia/Kolkata", "UTC"):
        report = tried(loads(NIGHT.format(zone=zone), "tried.yaml"), tmp_path, "night-caller", "sales-desk")
        found[zone] = [[result.caught for result in each.results] for each in report.kinds]
    assert all(caught == [["final"] * 2, ["nothing"] * 2] for caught in found.values()), found


def test_the_same_seeds_give_the_same_report(tmp_path: Path) -> None:
    first, again = (tried(policy("enforce"), tmp_path, "blind-dialler", "dispatcher") for _ in range(2))
    assert first.kinds == again.kinds
