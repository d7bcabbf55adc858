"""The access rules, clause by clause, as the product applies them: each test reads like the rule that it checks."""

from typing import Any

import pytest
from access_rule_records import (
    DAY,
    HOUR,
    MINUTE,
    RECORDED,
    SHORT_CALLS,
    T0,
    bursts,
    call,
    clock,
    complaint,
    decided,
    finding,
    the_only,
)


def test_clause_1_a_verified_fraud_complaint_bans_keeps_the_money_and_may_go_to_court() -> None:
    ban = the_only(decided(complaint("fraud", 0, "received"), complaint("fraud", HOUR)))
    assert (ban["clause"], ban["tier"], ban["kind"], ban["status"]) == (1, "severe", "ban", "final")
    assert set(ban["actions"]) == {"ban_account", "forbid_refunds", "reserve_legal_action"} | RECORDED
    assert ban["refunds"] == "frozen"
    assert ban["decided_ms"] == T0 + HOUR
    assert ban["evidence"]["complaint_ids"] == ["p1"]


def test_clause_2_a_verified_harassment_complaint_terminates_and_keeps_the_money() -> None:
    end = the_only(decided(complaint("harassment", 0)))
    assert (end["clause"], end["tier"], end["kind"], end["status"]) == (2, "major", "termination", "final")
    assert set(end["actions"]) == {"terminate_service", "forbid_refunds"} | RECORDED
    assert end["refunds"] == "frozen"


@pytest.mark.parametrize(
    "record",
    [
        complaint("prohibited_business", 0),
        finding("undeclared_business", 0, actual_business="贷款"),
        finding("undeclared_business", 0, catalogue_row="loans"),
    ],
    ids=["complaint", "finding-by-text", "finding-by-row"],
)
def test_clause_3_an_undeclared_business_out_of_the_catalogue_bans(record: dict[str, Any]) -> None:
    ban = the_only(decided(record))
    assert (ban["clause"], ban["tier"], ban["kind"], ban["status"]) == (3, "severe", "ban", "final")
    assert ban["behaviour"] == "undeclared_prohibited_business"
    assert ban["refunds"] == "frozen"


def test_clause_3_a_text_that_only_contains_a_prohibited_business_waits_for_a_review() -> None:
    pending = the_only(decided(finding("undeclared_business", 0, actual_business="小额贷款中介")))
    assert (pending["clause"], pending["kind"], pending["status"]) == (3, "ban", "pending_review")
    assert pending["actions"] == []
    assert "ban_account" in pending["proposed_actions"]


def test_clause_4_an_undeclared_business_outside_the_catalogue_warns_and_is_recorded() -> None:
    warning = the_only(decided(finding("undeclared_business", 0, actual_business="宠物用品")))
    assert (warning["clause"], warning["tier"], warning["kind"]) == (4, "minor", "warning")
    assert set(warning["actions"]) == {"warn"} | RECORDED
    assert warning["refunds"] == "unaffected"
    assert warning["violations_on_record"] == 1


@pytest.mark.parametrize("record", [complaint("abuse", 0), finding("in_call_abuse", 0)], ids=["complaint", "finding"])
def test_clause_5_abuse_in_calls_terminates(record: dict[str, Any]) -> None:
    end = the_only(decided(record))
    assert (end["clause"], end["tier"], end["kind"], end["refunds"]) == (5, "major", "termination", "frozen")


@pytest.mark.parametrize(
    ("clause", "record"),
    [
        (6, complaint("number_leak", 0)),
        (6, finding("blind_calling", 0)),
        (7, complaint("no_consent", 0)),
        (7, finding("no_consent", 0)),
    ],
    ids=["6-complaint", "6-finding", "7-complaint", "7-finding"],
)
def test_clauses_6_and_7_blind_calls_and_calls_without_consent_warn(clause: int, record: dict[str, Any]) -> None:
    warning = the_only(decided(record))
    assert (warning["clause"], warning["tier"], warning["kind"]) == (clause, "minor", "warning")
    assert set(warning["actions"]) == {"warn"} | RECORDED
    assert warning["refunds"] == "unaffected"


def test_clause_6_many_short_calls_warn() -> None:
    warning = the_only(decided(*[call(n * MINUTE, 2_000) for n in range(1, 11)], rules=[SHORT_CALLS]))
    assert (warning["clause"], warning["kind"], warning["rule_id"]) == (6, "warning", "short-calls")
    assert warning["measure"]["numerator"] == 10
    assert warning["window"] == {"start_ms": T0, "end_ms": T0 + HOUR}


@pytest.mark.parametrize(
    "category", ["fraud", "harassment", "abuse", "no_consent", "number_leak", "prohibited_business"]
)
def test_an_unverified_complaint_decides_nothing(category: str) -> None:
    assert decided(complaint(category, 0, "received"), clock(DAY)) == []


def test_a_suspicion_decides_nothing() -> None:
    assert decided(finding("in_call_abuse", 0, "suspected"), clock(DAY)) == []


def test_a_complaint_of_another_kind_decides_nothing_even_verified() -> None:
    assert decided(complaint("other", 0), clock(DAY)) == []


def test_a_complaint_that_was_dismissed_first_never_decides() -> None:
    assert decided(complaint("fraud", 0, "dismissed"), complaint("fraud", HOUR, "verified")) == []


def test_a_complaint_decides_once_however_often_it_is_verified() -> None:
    the_only(decided(complaint("fraud", 0), complaint("fraud", HOUR), complaint("harassment", DAY)))


def test_every_decision_gives_its_reason_in_both_languages_with_the_numbers_in_it() -> None:
    warning = the_only(decided(*bursts(1), rules=[SHORT_CALLS]))
    for language in ("zh", "en"):
        assert "10" in warning["reason"][language]
        assert "50" in warning["reason"][language]
