"""Applications for numbers: which are rejected, and which wait for a review."""

from access_rule_records import HOUR, THREE_STRIKES, application, complaint, decided, review, the_only, warned


def test_an_application_for_a_prohibited_business_is_rejected() -> None:
    no = the_only(decided(application("贷款", 0)))
    assert (no["kind"], no["status"], no["actions"]) == ("admission_rejected", "final", ["reject_numbers"])
    assert (no["clause"], no["tier"], no["refunds"]) == (None, None, "unaffected")
    assert no["evidence"]["application_ids"] == ["n1"]
    assert "贷款" in no["reason"]["zh"]


def test_the_scenario_counts_as_the_declared_business_does() -> None:
    the_only(decided(application("客服", 0, scenario="Cash Loan")))


def test_an_application_that_only_contains_a_prohibited_business_waits_and_may_be_upheld() -> None:
    pending = the_only(decided(application("小额贷款中介", 0)))
    assert (pending["status"], pending["actions"]) == ("pending_review", [])
    assert pending["proposed_actions"] == ["reject_numbers"]
    final = decided(application("小额贷款中介", 0), review("uphold", pending["id"], HOUR))[1]
    assert (final["status"], final["actions"], final["supersedes"]) == ("final", ["reject_numbers"], pending["id"])


def test_a_lawful_application_is_left_alone() -> None:
    assert decided(application("宠物用品", 0), application("贷款知识讲座", HOUR, "n2")) == []


def test_a_banned_tenant_is_not_admitted_again_and_a_terminated_one_is() -> None:
    banned = decided(complaint("fraud", 0), application("宠物用品", HOUR))
    assert [e["behaviour"] for e in banned] == ["verified_fraud_complaint", "banned_applicant"]
    assert banned[1]["kind"] == "admission_rejected"
    assert [e["kind"] for e in decided(complaint("harassment", 0), application("宠物用品", HOUR))] == ["termination"]


def test_an_application_is_no_violation() -> None:
    events = decided(
        *[application("贷款", n * HOUR, f"n{n}") for n in range(4)],
        warned(5 * HOUR, "p1"),
        escalations=[THREE_STRIKES],
    )
    assert {e["violations_on_record"] for e in events if e["kind"] == "admission_rejected"} == {0}
    assert events[-1]["violations_on_record"] == 1
    assert not [e for e in events if e["behaviour"] == "repeat_violation"]
