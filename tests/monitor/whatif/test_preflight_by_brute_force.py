"""The tenants that preflight names are those that the rules decide about, and no others."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from helpers.thorough import thorough
from monitor.policy.load import loads
from monitor.policy.model import Policy, Rule
from monitor.replay.run import ReplayOptions, replay
from monitor.whatif.preflight import preflight
from oracle.scenario_generator import scenario

STOPS = ("ban", "termination")


def alone(policy: Policy, rule: Rule) -> Policy:
    """The policy with that rule alone, in shadow and for everyone: nothing but a sanction for a record stops it."""
    overrides = tuple(
        replace(one, rule=replace(one.rule, mode="shadow")) for one in policy.overrides if one.rule.id == rule.id
    )
    rules = (replace(rule, mode="shadow"),)
    return replace(policy, rules=rules, overrides=overrides, escalations=(), exemptions=(), profiles=())


@pytest.mark.parametrize("seed", thorough(range(40), 6))
def test_each_rule_decides_about_the_tenants_that_preflight_names(seed: int, tmp_path: Path) -> None:
    print(f"seed {seed}")
    made = scenario(seed)
    policy = loads(json.dumps(made.policy), "policy.json")
    paths = []
    for n, lines in enumerate(made.files):
        paths.append(tmp_path / f"records-{n}.jsonl")
        paths[-1].write_bytes(b"".join(line.encode("utf-8", "surrogatepass") + b"\n" for line in lines))
    options = ReplayOptions(not_after_ms=made.not_after_ms)
    found = preflight(paths, policy, (), made.not_after_ms)
    named = {breaches.rule.id: set(breaches.tenants) for breaches in found.rules}
    whole = replay(paths, policy, options)
    assert (found.records, found.rejected) == (whole.summary.read - whole.summary.rejected, whole.summary.rejected)
    for event in (*whole.enforcement, *whole.shadow):
        if event.data.window is not None and event.data.reverses is None:
            assert event.subject in named[event.data.rule_id], f"{event.id} was decided, but not named"
    for rule in policy.rules:
        judged = replay(paths, alone(policy, rule), options)
        decided = {event.subject for event in judged.shadow if event.data.rule_id == rule.id}
        stopped = {e.subject for e in judged.enforcement if e.data.status == "final" and e.data.kind in STOPS}
        assert decided <= named[rule.id] <= decided | stopped, rule.id
