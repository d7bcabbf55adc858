"""Repeated violations refer a tenant; each counts once, and not for ever."""

from access_rule_records import DAY, HOUR, T0, THREE_STRIKES, complaint, decided, the_only, warned


def test_the_third_violation_within_thirty_days_refers_the_tenant_with_the_three_as_evidence() -> None:
    events = decided(warned(0, "p1"), warned(DAY, "p2"), warned(30 * DAY - 1, "p3"), escalations=[THREE_STRIKES])
    referral = the_only([e for e in events if e["kind"] == "termination"])
    warnings = [e for e in events if e["kind"] == "warning"]
    assert (referral["behaviour"], referral["clause"], referral["tier"]) == ("repeat_violation", None, "major")
    assert (referral["kind"], referral["status"]) == ("termination", "pending_review")
    assert sorted(referral["evidence"]["enforcement_ids"]) == sorted(w["id"] for w in warnings)
    measure = referral["measure"]
    assert (measure["metric"], measure["numerator"], measure["denominator"]) == ("violations", 3, None)
    assert (measure["threshold"], measure["bound"]) == (3, None)


def test_a_violation_exactly_thirty_days_old_no_longer_counts() -> None:
    events = decided(warned(0, "p1"), warned(DAY, "p2"), warned(30 * DAY, "p3"), escalations=[THREE_STRIKES])
    assert [e["kind"] for e in events] == ["warning"] * 3


def test_a_violation_is_used_by_an_escalation_once() -> None:
    records = [warned(n * DAY, f"p{n}") for n in range(6)]
    events = decided(*records, escalations=[THREE_STRIKES])
    assert [e["decided_ms"] for e in events if e["kind"] == "termination"] == [T0 + 2 * DAY, T0 + 5 * DAY]


def test_a_referral_is_withdrawn_with_one_of_its_violations_and_the_rest_count_again() -> None:
    events = decided(
        *[warned(n * DAY, f"p{n}") for n in range(3)],
        complaint("number_leak", 3 * DAY, "dismissed", "p1"),
        warned(4 * DAY, "p4"),
        escalations=[THREE_STRIKES],
    )
    first, second = (e for e in events if e["kind"] == "termination")
    reversed_ids = [e["reverses"] for e in events if e["kind"] == "reversal"]
    assert first["id"] in reversed_ids
    fall = next(e for e in events if e["reverses"] == first["id"])
    assert (fall["decided_ms"], fall["refunds"]) == (T0 + 3 * DAY, "released")
    assert fall["evidence"]["complaint_ids"] == ["p1"]
    assert second["decided_ms"] == T0 + 4 * DAY
    assert second["measure"]["numerator"] == 3


def test_violations_of_a_lapsed_referral_stay_used() -> None:
    events = decided(
        *[warned(n * HOUR, f"p{n}") for n in range(3)],
        warned(8 * DAY, "p4"),
        escalations=[THREE_STRIKES],
    )
    assert [e["kind"] for e in events if e["behaviour"] == "repeat_violation"] == ["termination", "lapse"]
