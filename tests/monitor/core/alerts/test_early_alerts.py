"""Early evaluations as time lines: which alerts fire before their window is evaluated, and what confirms or retracts
them.
"""

from typing import Any

import msgspec
import pytest

from helpers.shard_harness import ShardHarness, StoredShardHarness, rule
from helpers.shard_samples import MINUTE, T0, policy_of
from monitor.core.due_work import is_due
from monitor.core.shard import Shard
from monitor.core.shard_state import ShardState
from monitor.core.tenants.alert_store import encode_alerts
from schemas.outputs import Alert

Line = tuple[str, str, float, float]  # state, rule, since, updated: in minutes


class EarlyHarness(ShardHarness):
    """A shard that is evaluated early; lateness is ten minutes, so no window is evaluated before `until`."""

    def __init__(self, *rules: dict[str, Any], **sections: Any) -> None:
        super().__init__(rules=list(rules), **sections)

    def alerts(self) -> list[Line]:
        """The alerts since the last call."""
        reported = self.shard.output.take().alerts
        return [(a.state, a.rule_id, (a.since_ms - T0) / MINUTE, (a.updated_ms - T0) / MINUTE) for a in reported]

    def evaluate_early(self) -> list[Line]:
        """The alerts of an early evaluation."""
        self.shard.early()
        return self.alerts()

    def evaluate_until(self, minute: float) -> list[Line]:
        """The alerts of the final evaluations up to a minute."""
        self.shard.advance(T0 + round(minute * MINUTE))
        return self.alerts()

    def long_calls(self, *minutes: float, **changed: Any) -> None:
        """Answered calls that last a minute."""
        self.short_calls(*minutes, talk_ms=MINUTE, **changed)


def alerts_of(shard: Shard) -> dict[str, bytes]:
    """The entries of the alerts."""
    return encode_alerts(shard.evaluator.alert_states.active())


SOME = rule("some", min_denominator=2, mode="shadow")  # more than half of at least two answered calls are short


def test_an_early_alert_fires_after_the_call_that_crosses_and_is_confirmed_at_its_end() -> None:
    harness = EarlyHarness(SOME)
    harness.short_calls(1)
    assert harness.evaluate_early() == []
    harness.short_calls(2)
    assert harness.evaluate_early() == [("firing", "some", 5, 2)]
    assert harness.evaluate_early() == []
    harness.short_calls(3)
    assert harness.evaluate_early() == []
    assert harness.evaluate_until(5) == []
    assert harness.evaluate_until(14) == []
    assert harness.evaluate_until(15) == [("resolved", "some", 5, 15)]


def test_an_early_alert_is_confirmed_although_its_rule_may_not_decide_again_yet() -> None:
    harness = EarlyHarness(rule("some", min_denominator=2, cooldown="1h"))
    harness.short_calls(1, 2)
    assert harness.evaluate_until(15) == [("firing", "some", 5, 5), ("resolved", "some", 5, 15)]
    harness.short_calls(16, 17)
    assert harness.evaluate_early() == [("firing", "some", 20, 17)]
    assert harness.evaluate_until(20) == []
    assert harness.evaluate_until(30) == [("resolved", "some", 20, 30)]


def test_alerts_of_many_tenants_fire_and_are_withdrawn_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else 100,000 tenants in breach would be one transaction."""
    monkeypatch.setattr("monitor.core.alerts.early_alerts.MOST_ALERTS", 4)
    harness = EarlyHarness(SOME, rule("other", min_denominator=2, mode="shadow"))
    for tenant in range(5):
        harness.short_calls(1, 2, tenant=f"t{tenant}")
    parts = []
    while harness.shard.early():
        parts.append(harness.alerts())
    parts.append(harness.alerts())
    assert [len(part) for part in parts] == [4, 4, 2]
    assert sorted(alert for part in parts for alert in part) == sorted(
        [("firing", name, 5, 2) for name in ("some", "other")] * 5
    )
    assert harness.evaluate_early() == []
    for tenant in range(5):
        harness.long_calls(3, 4, tenant=f"t{tenant}")
    assert harness.evaluate_early() == []
    harness.long_calls(6, tenant="bravo")
    parts = []
    while harness.shard.early():
        parts.append(harness.alerts())
    parts.append(harness.alerts())
    assert [len(part) for part in parts] == [4, 4, 2]
    assert sorted(alert for part in parts for alert in part) == sorted(
        [("resolved", name, 5, 6) for name in ("some", "other")] * 5
    )
    assert harness.evaluate_early() == []


def test_a_withdrawal_that_was_left_to_the_next_evaluation_sees_the_calls_before_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    harness = EarlyHarness(SOME)
    for tenant in ("acme", "bravo"):
        harness.short_calls(1, 2, tenant=tenant)
    assert len(harness.evaluate_early()) == 2
    for tenant in ("acme", "bravo"):
        harness.long_calls(3, 4, tenant=tenant)
    assert harness.evaluate_early() == []
    monkeypatch.setattr("monitor.core.alerts.early_alerts.MOST_ALERTS", 1)
    harness.long_calls(6, tenant="charlie")
    assert harness.evaluate_early() == [("resolved", "some", 5, 6)], "the other is left"
    harness.short_calls(4.5, tenant="bravo")
    assert harness.evaluate_early() == [], "the other is beyond the threshold again"


def test_it_is_reported_again_with_the_decision_that_came_of_it() -> None:
    harness = EarlyHarness(rule("one"))
    harness.short_calls(1)
    harness.shard.early()
    (early,) = harness.shard.output.take().alerts
    harness.shard.advance(T0 + 5 * MINUTE)
    output = harness.shard.output.take()
    (again,) = output.alerts
    assert (early.alert_id, early.state, early.enforcement_id) == (again.alert_id, again.state, None)
    assert again.enforcement_id == output.enforcement[0].id


def test_calls_that_come_late_may_show_that_there_was_nothing() -> None:
    harness = EarlyHarness(SOME)
    harness.short_calls(1, 2)
    assert harness.evaluate_early() == [("firing", "some", 5, 2)]
    harness.long_calls(1.5, 2.5)
    assert harness.evaluate_early() == [], "no later end has been looked at"
    harness.shard.advance(T0 + 5 * MINUTE)
    (over,) = harness.shard.output.take().alerts
    assert (over.state, over.updated_ms) == ("resolved", T0 + 5 * MINUTE)
    assert "no longer above 50 %" in over.reason.en


def test_an_early_alert_without_a_breach_is_resolved_at_its_evaluation() -> None:
    harness = EarlyHarness({**SOME, "recover": 0.2})
    harness.short_calls(1, 2)
    harness.evaluate_early()
    harness.long_calls(1.5, 2.5)
    harness.shard.advance(T0 + 5 * MINUTE)
    (over,) = harness.shard.output.take().alerts
    assert over.state == "resolved"
    assert "not in breach of the rule at the window's end" in over.reason.en


def test_an_early_alert_is_resolved_once_the_value_has_recovered_at_its_end_and_a_later_one() -> None:
    harness = EarlyHarness(SOME)
    harness.short_calls(1, 2)
    assert harness.evaluate_early() == [("firing", "some", 5, 2)]
    harness.long_calls(3, 4)
    assert harness.evaluate_early() == []
    harness.long_calls(6, tenant="bravo")
    assert harness.evaluate_early() == [("resolved", "some", 5, 6)]
    harness.short_calls(4.5, 4.6)
    assert harness.evaluate_early() == [("firing", "some", 10, 6)], "the end that was taken back is not named again"


def test_an_early_alert_keeps_firing_while_its_own_end_is_in_breach_though_later_ones_are_not() -> None:
    harness = EarlyHarness({**SOME, "window": "5m"})
    harness.short_calls(1, 2)
    assert harness.evaluate_early() == [("firing", "some", 5, 2)]
    harness.long_calls(6, 7)
    assert harness.evaluate_early() == []
    assert harness.evaluate_until(5) == []
    assert harness.evaluate_until(10) == [("resolved", "some", 5, 10)]


def test_a_breach_found_after_the_alert_was_retracted_is_a_new_alert() -> None:
    harness = EarlyHarness(SOME)
    harness.short_calls(1, 2)
    harness.evaluate_early()
    harness.long_calls(3, 4, 6)
    assert harness.evaluate_early() == [("resolved", "some", 5, 6)]
    harness.short_calls(1.1, 1.2)
    assert harness.evaluate_until(5) == [("firing", "some", 10, 5)]
    harness.long_calls(7, 8)
    assert harness.evaluate_until(10) == [("resolved", "some", 10, 10)]


def test_judging_before_the_named_end_confirms_but_does_not_resolve() -> None:
    harness = EarlyHarness({**SOME, "window": "5m"})
    harness.short_calls(6, 7)
    assert harness.evaluate_early() == [("firing", "some", 10, 7)]
    harness.short_calls(1, 2)
    assert harness.evaluate_until(5) == [], "in breach: the alert that is out is this one's, too"
    harness.long_calls(8, 9)
    assert harness.evaluate_until(10) == [("resolved", "some", 10, 10)]


def test_a_resolved_alert_does_not_hide_breaches_at_later_ends() -> None:
    harness = EarlyHarness({**SOME, "window": "5m"})
    harness.short_calls(1, 2)
    harness.evaluate_early()
    harness.evaluate_until(5)
    harness.short_calls(11, 12)
    assert harness.evaluate_early() == [], "one a rule and tenant"
    assert harness.evaluate_until(10) == [("resolved", "some", 5, 10)]
    assert harness.evaluate_early() == [("firing", "some", 15, 12)]


def test_a_count_that_is_too_low_may_still_grow() -> None:
    few = rule("few", metric="attempts", below=3)
    del few["above"]
    harness = EarlyHarness(few)
    harness.short_calls(1)
    assert harness.evaluate_early() == []
    assert harness.evaluate_until(5) == [("firing", "few", 5, 5)]


def test_complaints_that_wait_count_as_if_they_were_decided() -> None:
    harness = EarlyHarness(rule("crowd", metric="complainants", above=1, window="24h", step="1h", mode="shadow"))
    harness.complaint(1, "received", name="p1", complainant="w1")
    assert harness.evaluate_early() == []
    harness.complaint(2, "received", name="p2", complainant="w2")
    assert harness.evaluate_early() == [("firing", "crowd", 60, 2)]
    harness.complaint(3, "dismissed", name="p2")
    harness.complaint(61, "received", name="p3", complainant="w1")
    assert harness.evaluate_early() == [("resolved", "crowd", 60, 61)]


def test_a_repeated_complaint_changes_nothing_and_yet_the_alert_does_not_stand_for_ever() -> None:
    """Nothing enters or leaves the window between the ends, so the rule appears unchanged."""
    harness = EarlyHarness(
        rule("crowd", metric="complaints", above=1, window="72h", step="1h", mode="shadow"),
        defaults={"retention": "72h"},
    )
    harness.complaint(1, "received", name="p1")
    assert harness.evaluate_until(120) == []
    harness.complaint(130, "received", name="p2")
    assert harness.evaluate_early() == [("firing", "crowd", 180, 130)]
    harness.complaint(130, "dismissed", name="p2")
    assert harness.evaluate_until(180) == [("resolved", "crowd", 180, 180)]


def test_exempt_tenants_never_alert_and_overrides_hold() -> None:
    signed = {"owner": "ops", "reason": "for the test", "expires": "2027-01-01"}
    harness = EarlyHarness(
        SOME,
        exemptions=[{"tenant": "bravo", "rules": ["some"], **signed}],
        overrides=[{"tenant": "coy", "rule": "some", "min_denominator": 4, **signed}],
    )
    for tenant in ("acme", "bravo", "coy"):
        harness.short_calls(1, 2, tenant=tenant)
    assert harness.evaluate_early() == [("firing", "some", 5, 2)]
    harness.short_calls(3, 3.5, tenant="coy")
    assert harness.evaluate_early() == [("firing", "some", 5, 3.5)]


def test_decades_without_a_record_cost_nothing_though_an_alert_names_an_end_after_them() -> None:
    harness = EarlyHarness({**SOME, "window": "5m"})
    harness.long_calls(-15_000_000, -14_999_999)
    harness.evaluate_until(-15_000_000)
    harness.short_calls(1, 2)
    assert harness.evaluate_early() == [("firing", "some", 5, 2)]
    assert harness.evaluate_until(-1) == []
    assert not is_due(harness.shard, T0 + 4 * MINUTE)
    assert is_due(harness.shard, T0 + 5 * MINUTE)


@pytest.mark.parametrize("calls", [60, 3])
def test_too_many_new_calls_start_early_evaluation_over(calls: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitor.core.windows.open_panes._MOST_NEW_CALLS", 50)
    harness = EarlyHarness(SOME)
    harness.short_calls(1)
    assert harness.evaluate_early() == []
    harness.short_calls(*(1 + n / 100 for n in range(calls)))
    harness.short_calls(4, tenant="bravo")
    assert harness.evaluate_early() == [("firing", "some", 5, 4)]
    harness.short_calls(4.5, tenant="bravo")
    assert harness.evaluate_early() == [("firing", "some", 5, 4.5)]


def test_early_and_retracted_alerts_survive_a_restart() -> None:
    harness = EarlyHarness(SOME)
    harness.short_calls(1, 2)
    harness.short_calls(1, 2, tenant="bravo")
    harness.evaluate_early()
    harness.long_calls(3, 4, 6)
    assert harness.evaluate_early() == [("resolved", "some", 5, 6)]
    active = harness.shard.evaluator.alert_states.active()
    assert {t: f.early for t, f in active.firing["some"].items()} == {1: True}
    assert active.taken_back == {"some": {0: active.firing["some"][1].since_ms}}
    shard = Shard(policy_of(rules=[SOME]), keep_state=True)
    ShardState(shard).restore(
        msgspec.structs.replace(ShardState(harness.shard).head(), tenants=0), alerts_of(harness.shard)
    )
    assert shard.evaluator.alert_states.active() == active
    assert shard.evaluator.alert_states.changes() == {}


def test_an_alert_of_a_rule_that_a_policy_removes_and_the_next_puts_back_is_not_opened_again() -> None:
    other = rule("other", min_denominator=9)
    first, second, third = EarlyHarness(SOME), EarlyHarness(other), EarlyHarness(SOME)
    first.short_calls(1, 2)
    assert first.evaluate_early() == [("firing", "some", 5, 2)]
    first.shard.close(T0, policy_of(rules=[other]))
    assert first.alerts() == [("resolved", "some", 5, 0)]
    stored = alerts_of(first.shard)
    ShardState(second.shard).restore(msgspec.structs.replace(ShardState(first.shard).head(), tenants=0), stored)
    ShardState(third.shard).restore(msgspec.structs.replace(ShardState(second.shard).head(), tenants=0), stored)
    third.short_calls(1, 2)
    assert third.evaluate_early() == []
    assert third.evaluate_until(5) == [("firing", "some", 10, 5)]
    second.short_calls(1, 2)
    second.evaluate_until(5)
    assert "some" not in second.shard.evaluator.alert_states.active().taken_back
    assert second.shard.evaluator.alert_states.changes() == {"a0": None}, "it is forgotten in the state, too"


def test_an_alert_id_is_that_of_the_judged_one() -> None:
    reported: list[list[Alert]] = []
    for early in (True, False):
        harness = EarlyHarness(SOME)
        harness.short_calls(1, 2)
        if early:
            harness.shard.early()
        harness.shard.advance(T0 + 5 * MINUTE)
        reported.append(harness.shard.output.take().alerts)
    assert [alert.alert_id for alert in reported[0]] == [alert.alert_id for alert in reported[1]]


def test_a_successor_evaluates_the_same_ends_early_as_the_one_that_read_the_calls() -> None:
    """The successor does not read the calls again: their pane is closed, and the window that holds them
    is still open.
    """
    harness = StoredShardHarness(rules=[rule("hourly", window="1h", step="1h", cooldown="1h")])
    harness.short_calls(1, 2)
    assert harness.until(30) == []
    harness.restart()
    harness.shard.early()
    (alert,) = harness.shard.output.take().alerts
    assert (alert.state, alert.since_ms) == ("firing", T0 + 60 * MINUTE)
