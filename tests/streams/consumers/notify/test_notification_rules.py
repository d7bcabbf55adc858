"""The notifications about a tenant: none lost, none repeated, and no more than the notification policy allows."""

import msgspec
from notification_samples import alert, decision, escalation, left
from rules_harness import THROTTLE, RulesHarness, short

from monitor.text.durations import DAY, HOUR, MINUTE
from schemas.outputs import EscalationAhead, Reason
from streams.consumers.notify.rules.tenant_state import TenantState
from streams.consumers.notify.rules.throttle import Throttle


def test_an_alert_that_lasts_is_reported_once_and_then_that_it_is_over() -> None:
    harness = RulesHarness()
    assert harness.take(0, alert("a", "firing", 0)) == []
    assert harness.take(THROTTLE.delay_ms - 1) == []
    assert harness.take(THROTTLE.delay_ms, alert("a", "firing", 0)) == ["alert"]
    assert harness.take(HOUR) == []
    assert harness.take(HOUR, alert("a", "resolved", HOUR)) == ["alert over"]
    assert harness.take(HOUR, alert("a", "resolved", HOUR)) == []


def test_an_alert_that_is_retracted_before_its_message_is_never_sent() -> None:
    harness = RulesHarness()
    harness.take(0, alert("a", "firing", 0))
    assert harness.take(THROTTLE.delay_ms - 1, alert("a", "resolved", 1)) == []
    assert harness.take(DAY) == []


def test_all_rules_of_a_behaviour_are_one_thread() -> None:
    harness = RulesHarness()
    harness.take(0, alert("a", "firing", 0), alert("b", "firing", 0, rule="short-calls-of-few"))
    assert harness.take(THROTTLE.delay_ms) == ["alert"]
    assert set(harness.messages[-1].refs) == {"a", "b"}
    assert "short-calls, short-calls-of-few" in "".join(line.en for line in harness.messages[-1].lines)
    assert harness.take(HOUR, alert("a", "resolved", 1)) == []
    assert harness.take(HOUR, alert("c", "firing", 0, rule="short-calls-unanswered")) == []
    assert harness.take(HOUR, alert("b", "resolved", 1, rule="short-calls-of-few")) == []
    assert harness.take(HOUR, alert("c", "resolved", 1, rule="short-calls-unanswered")) == ["alert over"]


def test_a_rule_that_the_policy_does_not_have_is_a_thread_of_its_own() -> None:
    harness = RulesHarness()
    harness.take(0, alert("a", "firing", 0), alert("b", "firing", 0, rule="of-yesterday"))
    assert harness.take(THROTTLE.delay_ms) == ["alert", "alert"]
    assert {message.behaviour for message in harness.messages} == {"blind_calling", "of-yesterday"}


def test_a_shadow_rule_goes_nowhere_unless_that_is_wanted() -> None:
    shadow = alert("a", "firing", 0, severity="info")
    harness = RulesHarness()
    harness.take(0, shadow)
    assert harness.take(DAY) == []
    assert harness.tenant.empty
    harness = RulesHarness(Throttle(least="info"))
    harness.take(0, shadow)
    assert harness.take(DAY) == ["alert"]


def test_a_resolution_is_sent_however_the_rule_has_changed() -> None:
    # Meanwhile it is in shadow mode, or belongs to another behaviour.
    for over in ({"severity": "info"}, {"rule": "out-of-hours"}, {"rule": "of-yesterday"}):
        harness = RulesHarness()
        harness.take(0, alert("a", "firing", 0))
        assert harness.take(HOUR) == ["alert"]
        assert harness.take(HOUR, alert("a", "resolved", HOUR, **over)) == ["alert over"], over
        assert (harness.messages[-1].behaviour, harness.messages[-1].severity) == ("blind_calling", "warning")
        assert not any(thread.firing for thread in harness.tenant.threads.values())


def test_an_alert_without_updates_for_a_month_is_resolved() -> None:
    harness = RulesHarness()
    harness.take(0, alert("a", "firing", 0), alert("b", "firing", 0, rule="short-calls-of-few"))
    harness.take(HOUR)
    harness.take(10 * DAY, alert("b", "firing", 0, rule="short-calls-of-few"))
    harness.take(40 * DAY - 1)
    assert set(harness.tenant.threads["blind_calling"].firing) == {"b"}
    assert harness.take(40 * DAY) == [], "that it is over is not known"
    began, ended = harness.messages
    assert (ended.standing, ended.severity, ended.behaviour, ended.tier) == (
        "off", began.severity, began.behaviour, began.tier,
    )  # fmt: skip
    assert harness.take(40 * DAY, alert("b", "resolved", 1, rule="short-calls-of-few")) == []
    assert harness.tenant.empty


def test_a_higher_severity_is_sent_and_alertmanager_resolves_the_lower_one() -> None:
    harness = RulesHarness()
    harness.take(0, alert("a", "firing", 0))
    harness.take(HOUR)
    assert harness.take(HOUR, alert("b", "firing", 0, severity="critical")) == ["alert"]
    ended, sent = harness.messages[-2:]
    assert (ended.standing, ended.severity, ended.others) == ("off", "warning", False)
    assert (sent.standing, sent.severity) == ("on", "critical")
    assert harness.take(HOUR, alert("c", "firing", 0)) == []
    assert harness.take(HOUR, alert("a", "resolved", 1), alert("b", "resolved", 1)) == []
    assert harness.take(HOUR, alert("c", "resolved", 1)) == ["alert over"]
    assert harness.messages[-1].severity == "critical"


def test_a_decision_replaces_the_message_of_its_alert() -> None:
    harness = RulesHarness()
    harness.take(0, alert("a", "firing", 0))
    assert harness.take(MINUTE, decision("d", "warning", MINUTE)) == ["warning"]
    assert harness.take(HOUR, alert("a", "resolved", HOUR)) == []
    assert harness.take(2 * HOUR, alert("b", "firing", 2 * HOUR)) == []
    assert harness.take(3 * HOUR) == []
    assert [each.what for each in harness.silent] == ["alert"]


def test_a_similar_recent_message_is_counted_and_not_sent() -> None:
    harness = RulesHarness()
    sent = [harness.take(day * DAY, decision(f"d{day}", "warning", day * DAY)) for day in range(15)]
    assert [day for day, said in enumerate(sent) if said] == [0, 7, 14]
    assert [each.ref for each in harness.silent] == [f"d{day}" for day in range(15) if day % 7]


def test_after_a_reversal_the_next_decision_is_news() -> None:
    harness = RulesHarness()
    assert harness.take(0, decision("d", "ban", 0)) == ["ban"]
    assert harness.take(HOUR, decision("r", "reversal", HOUR, reverses="d", refunds="released")) == ["reversal"]
    assert harness.take(2 * HOUR, decision("e", "ban", 2 * HOUR)) == ["ban"]


def test_alerts_are_suppressed_during_a_termination_and_sent_after_its_reversal() -> None:
    harness = RulesHarness()
    harness.take(0, decision("d", "termination", 0, behaviour="in_call_abuse"))
    harness.take(HOUR, alert("a", "firing", HOUR))
    assert harness.take(DAY) == []
    reversal = decision("r", "reversal", DAY, reverses="d", behaviour="in_call_abuse", refunds="released")
    assert harness.take(DAY, reversal) == ["reversal"]
    assert harness.take(DAY + THROTTLE.delay_ms) == ["alert"]


def test_a_pending_decision_is_active_at_alertmanager_until_its_thread_has_none() -> None:
    harness = RulesHarness()
    assert harness.take(0, decision("p", "ban", 0, pending=True)) == ["pending"]
    assert harness.take(1, decision("q", "ban", 1, pending=True)) == []
    assert harness.take(2, decision("f", "ban", 2, supersedes="p")) == ["ban"]
    assert not any(message.standing == "off" for message in harness.messages)
    assert harness.take(3, decision("l", "lapse", 3, reverses="q", refunds="released")) == []
    assert [short(message) for message in harness.messages if not message.others] == ["pending over"]


def test_a_pending_decision_is_active_only_while_a_review_is_possible() -> None:
    """The event of its lapse may have been deleted unread."""
    harness = RulesHarness()
    harness.take(0, decision("p", "ban", 0, pending=True))
    harness.take(1, decision("q", "ban", 1, pending=True, review_by_ms=9 * DAY))
    assert harness.tenant.due_ms == 9 * DAY
    assert harness.take(9 * DAY - 1) == []
    assert not any(message.standing == "off" for message in harness.messages)
    assert harness.take(9 * DAY) == []
    assert [short(message) for message in harness.messages if not message.others] == ["pending over"]
    assert harness.tenant.due_ms is None
    # The lapse arrives after all: no second resolution is sent.
    harness.take(9 * DAY + 1, decision("l", "lapse", 9 * DAY, reverses="p", refunds="released"))
    assert len([message for message in harness.messages if message.standing == "off"]) == 1


def test_alertmanager_resolves_exactly_the_alerts_that_it_received() -> None:
    harness = RulesHarness()
    for id_, event in (
        ("e", escalation("e", 0, ["x", "y", "z"], pending=True)),
        ("b", decision("b", "ban", 0, pending=True)),
    ):
        harness.take(0, event)
        harness.take(1, decision(f"l{id_}", "lapse", 1, reverses=id_, behaviour=event.data.behaviour))
    labels = [(m.standing, m.behaviour, m.what, m.severity, m.tier) for m in harness.messages if m.standing]
    for began, ended in (labels[:2], labels[2:]):
        assert (began[0], ended[0]) == ("on", "off")
        assert began[1:] == ended[1:]


def test_a_final_escalation_without_its_violations_is_reported_once() -> None:
    harness = RulesHarness()
    harness.take(5, escalation("p", 5, ["v0", "v1", "v2", "v3"], pending=True))
    harness.take(6, decision("r0", "reversal", 6, reverses="v0", escalations_affected=left("p", 3, pending=True)))
    harness.take(7, escalation("e", 7, ["v0", "v1", "v2", "v3"], supersedes="p"))
    fallen = decision("r1", "reversal", 8, reverses="v1", escalations_affected=left("e", 2))
    assert harness.take(8, fallen) == ["reversal", "escalation_unsupported"]
    assert "only 2 are left unreversed, fewer than 3" in harness.messages[-1].lines[0].en
    further = decision("r2", "reversal", 9, reverses="v2", escalations_affected=left("e", 1))
    assert harness.take(9, further) == ["reversal"]


def test_a_pending_escalation_without_its_violations_is_reversed_not_reported() -> None:
    harness = RulesHarness()
    harness.take(5, escalation("p", 5, ["v0", "v1", "v2"], pending=True))
    fallen = decision("r", "reversal", 6, reverses="v2", escalations_affected=left("p", 2, pending=True))
    assert harness.take(6, fallen) == ["reversal"]


def test_the_next_step_is_the_escalation_that_lacks_the_fewest_violations() -> None:
    harness = RulesHarness()
    near = EscalationAhead("near", "ban", "enforce", violations=4, at_least=5, window_ms=7 * DAY)
    far = EscalationAhead("far", "termination", "review", violations=1, at_least=3, window_ms=30 * DAY)
    harness.take(0, decision("w", "warning", 0, escalations_ahead=(far, near)))
    assert harness.messages[-1].lines[-1].en == "Next: 5 violations within 7 d bring ban; counted so far: 4"


def test_violations_on_record_are_remembered_while_nothing_else_is() -> None:
    """An alert that fires months later reports them."""
    harness = RulesHarness(Throttle(quiet_ms=0, delay_ms=0))
    harness.take(0, decision("w", "warning", 0, violations_on_record=2))
    harness.take(90 * DAY)
    assert not harness.tenant.threads
    assert not harness.tenant.empty
    harness.take(91 * DAY, alert("a", "firing", 91 * DAY))
    harness.take(91 * DAY + 1)
    assert any("2 violations on record" in line.en for line in harness.messages[-1].lines)


def test_a_message_has_the_figures_the_state_and_the_next_steps_in_both_languages() -> None:
    harness = RulesHarness()
    harness.take(0, decision("p", "ban", 0, pending=True), escalation("e", 0, ["x", "y", "z"]))
    zh, en = ("\n".join(getattr(line, each) for line in harness.messages[0].lines) for each in ("zh", "en"))
    assert "租户现状：在案违规 1 次，待复核 1 件，退款冻结 1 项" in zh
    assert "Status: 1 violation on record, 1 pending, 1 hold on refunds" in en
    assert "须在 1970-01-08 00:00 UTC 前复核" in zh
    assert "review it by 1970-01-08 00:00 UTC" in en
    harness.take(1, alert("a", "firing", 1, rule="unknown"), decision("r", "reversal", 1, reverses="e"))
    harness.take(HOUR)
    zh, en = ("\n".join(getattr(line, each) for line in harness.messages[-1].lines) for each in ("zh", "en"))
    assert "指标：短呼占比 60%，阈值 25%" in zh
    assert "Measure: short-call ratio 60 %, threshold 25 %" in en


def test_a_refused_application_is_no_step_to_an_escalation() -> None:
    harness = RulesHarness()
    harness.take(0, decision("n", "admission_rejected", 0, tier=None, actions=("reject_numbers",)))
    ahead = EscalationAhead("strikes", "termination", "review", violations=1, at_least=3, window_ms=30 * DAY)
    harness.take(1, decision("w", "warning", 1, escalations_ahead=(ahead,)))
    refused, warned = (message.lines[-1].en for message in harness.messages)
    assert refused == "Next: nothing"
    assert warned == "Next: 3 violations within 30 d bring termination (for review); counted so far: 1"


def test_a_number_in_a_reason_is_masked_and_so_is_a_tenant_that_looks_like_one() -> None:
    rules, sent = RulesHarness().rules, []
    for tenant in ("13800138000", "13800138100"):
        reason = Reason("致电 13912345678", "called 13912345678")
        event = decision("d", "ban", 0, tenant=tenant, reason=reason)
        [message] = rules.decision(tenant, TenantState(), event, 0, 0).messages
        sent.append(message.title)
        said = str([message.title, message.lines])
        assert not [text for text in ("13912345678", tenant) if text in said]
    assert sent[0] != sent[1], "they could not be distinguished"


def test_a_changed_kind_is_sent() -> None:
    harness = RulesHarness()
    fraud = {"behaviour": "verified_fraud_complaint", "rule_id": "verified_fraud_complaint", "clause": 1}
    assert harness.take(0, decision("one", "ban", 0, **fraud)) == ["ban"]
    changed = decision("two", "termination", HOUR, tier="severe", supersedes="one", **fraud)
    assert harness.take(HOUR, changed) == ["termination"]
    assert list(harness.tenant.cases) == ["two"]
    assert harness.tenant.stopped == "termination"


def test_an_application_waits_without_a_deadline_until_its_outcome_is_known() -> None:
    harness = RulesHarness()
    mine = {"behaviour": "application_review", "rule_id": "application_review", "clause": None, "tier": None}
    waits = decision("n", "admission_review", 0, pending=True, review_by_ms=None, **mine)
    assert harness.take(0, waits) == ["pending"]
    assert (harness.messages[-1].severity, harness.messages[-1].standing) == ("info", "on")
    assert harness.messages[-1].title.en.startswith("Application under review: tenant acme")
    assert harness.messages[-1].lines[-1].en == (
        "Next: approve or reject it (callwarden reviews show n); it does not lapse"
    )
    before = len(harness.messages)
    assert harness.take(300 * DAY) == []
    assert len(harness.messages) == before, "it still waits"
    approved = decision("a", "admission_approved", 301 * DAY, supersedes="n", actions=("approve_numbers",), **mine)
    assert harness.take(301 * DAY, approved) == ["admission_approved"]
    assert short(harness.messages[-1]) == "pending over"
    assert not harness.tenant.cases


def test_the_state_does_not_grow_with_the_applications_of_a_tenant() -> None:
    mine = {"tier": None, "behaviour": "application_review", "rule_id": "application_review", "review_by_ms": None}
    harness, sizes = RulesHarness(), []
    for number in range(1_000):
        harness.take(number, decision(f"n{number}", "admission_review", number, pending=True, **mine))
        sizes.append(len(msgspec.json.encode(harness.tenant)))
    assert sizes[-1] < sizes[0] + 20
    assert harness.tenant.pending == 1_000
    assert not harness.tenant.cases
    for number in range(1_000):
        harness.take(HOUR, decision(f"r{number}", "reversal", HOUR, reverses=f"n{number}", **mine))
        assert harness.tenant.pending == 999 - number
    ended = [message for message in harness.messages if message.standing == "off"]
    assert len(ended) == 1, "Alertmanager is notified once, when the last one no longer waits"


def test_the_reversal_of_a_final_refusal_leaves_those_that_wait() -> None:
    mine = {"tier": None, "behaviour": "prohibited_business_application", "actions": ()}
    harness = RulesHarness()
    harness.take(0, decision("final", "admission_rejected", 0, **mine))
    harness.take(0, decision("waits", "admission_rejected", 0, pending=True, **mine))
    harness.take(1, decision("r", "reversal", 1, reverses="final", **mine))
    assert harness.tenant.pending == 1
    harness.take(2, decision("l", "lapse", 2, reverses="waits", **mine))
    assert harness.tenant.pending == 0
