"""Records before the start of enforcement, as time lines: they are known and counted, and lead to no decision."""

from helpers.shard_harness import ShardHarness, escalation, rule, summaries
from helpers.shard_samples import MINUTE, T0

FROM = 20  # minutes


class Begun(ShardHarness):
    """A shard that decides nothing about events before minute `FROM`."""

    def __init__(self, **sections: object) -> None:
        super().__init__(**sections)
        self.shard.enforce_from(T0 + FROM * MINUTE)

    def alerts(self) -> list[tuple[str, float]]:
        """The alerts since the last call, each with the end that it names."""
        return [(alert.state, (alert.since_ms - T0) / MINUTE) for alert in self.shard.output.take().alerts]


def test_a_window_is_judged_from_that_time_on_with_all_its_calls() -> None:
    harness = Begun(rules=[rule("short", min_denominator=3)])
    harness.short_calls(11, 12, 13)  # in the windows that end at 15 and at 20
    assert summaries(harness.until(19)) == []
    assert harness.output.alerts == []
    assert summaries(harness.until(20)) == [("warning", "final", "short", 20)]
    assert [(alert.state, alert.since_ms) for alert in harness.output.alerts] == [("firing", T0 + 20 * MINUTE)]


def test_an_end_before_it_is_not_evaluated_early() -> None:
    harness = Begun(rules=[rule("short", window="5m", cooldown="5m")])
    harness.short_calls(12)
    harness.shard.early()
    assert harness.alerts() == []
    harness.short_calls(16)
    harness.shard.early()
    assert harness.alerts() == [("firing", 20)]


def test_no_cool_down_runs_from_before_it() -> None:
    harness = Begun(rules=[rule("short", cooldown="60m")])
    harness.short_calls(1, 14, 29)
    assert summaries(harness.until(60)) == [("warning", "final", "short", 20)]


def test_a_complaint_verified_before_it_counts_decides_nothing_and_is_dismissed_in_silence() -> None:
    many = rule("many", metric="verified_complaints", above=1, window="60m", cooldown="60m")
    harness = Begun(rules=[many])
    harness.complaint(10, name="p1")
    harness.complaint(11, name="p2")
    harness.complaint(25, name="p3", status="received")
    (event,) = harness.until(24)
    assert (event.data.rule_id, event.data.measure and event.data.measure.value) == ("many", 2.0)
    harness.complaint(26, name="p1")  # verified again: a duplicate
    harness.complaint(27, name="p1", status="dismissed")
    assert summaries(harness.until(30)) == []
    assert harness.output.duplicates == 1
    harness.complaint(31, name="p3")
    harness.complaint(32, name="p1")
    assert summaries(harness.until(33)) == [("warning", "final", "blind_calling", 31)]


def test_violations_of_before_it_are_on_no_record_and_escalate_nothing() -> None:
    harness = Begun(rules=[], escalations=[escalation(at_least=2)])
    harness.finding(5, name="f1")
    harness.finding(FROM, name="f2")
    (event,) = harness.until(30)
    assert event.data.violations_on_record == 1
    harness.finding(31, name="f3")
    assert summaries(harness.until(40)) == [
        ("warning", "final", "no_consent", 31),
        ("termination", "pending_review", "strikes", 31),
    ]


def test_an_application_of_before_it_is_admitted_and_one_of_its_ids_is_known() -> None:
    harness = Begun(rules=[])
    harness.application(19.9)
    harness.application(FROM, name="n2")
    harness.application(25, updated_ms=T0 + round(19.9 * MINUTE))
    assert summaries(harness.until(30)) == [("admission_rejected", "final", "prohibited_business_application", FROM)]
    assert harness.output.duplicates == 1


def test_a_review_of_before_it_is_passed_over_and_one_of_after_it_must_know_its_decision() -> None:
    harness = Begun(rules=[])
    harness.review(10, "overturn", "of-somebody-else")
    harness.review(25, "overturn", "of-somebody-else")
    assert summaries(harness.until(20)) == []
    assert harness.rejected() == []
    harness.until(30)
    assert harness.rejected() == ["unknown_enforcement"]


def test_names_of_before_it_are_known() -> None:
    harness = Begun(rules=[])
    harness.tenant(1, "Acme Ltd")
    harness.finding(25)
    (event,) = harness.until(30)
    assert "Acme Ltd" in event.data.reason.en
