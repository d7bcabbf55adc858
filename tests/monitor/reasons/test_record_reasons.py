"""The reasons of decisions on records, escalations and reviews."""

import pytest
from reason_samples import BEHAVIOURS, CERTAIN, DAY_MS, END_MS, LIKELY, LOANS, PROHIBITED, UNDECLARED, said

from monitor import reasons
from monitor.policy.catalogue import Match
from monitor.policy.model import Escalation
from monitor.reasons.wording import ReviewQuote
from schemas.outputs import Reason


def test_a_complaint_names_itself_its_channel_and_the_tenant() -> None:
    reason = reasons.complaint(BEHAVIOURS["verified_fraud_complaint"], "c-1", "12321", "某某科技")
    said(reason)
    assert reason.en == (
        "Complaint “c-1” against “某某科技” (passed on by “12321”) was verified; clause 1: "
        "a verified complaint of fraud"
    )
    assert reason.zh == "对“某某科技”的投诉“c-1”（由“12321”转来）经核实属实；接入规范第 1 条：核实的诈骗类投诉"


def test_a_complaint_with_few_fields_is_a_sentence_too() -> None:
    reason = reasons.complaint(BEHAVIOURS["verified_fraud_complaint"], "c-1", None, None)
    said(reason)
    assert reason.en == "Complaint “c-1” was verified; clause 1: a verified complaint of fraud"
    assert reason == reasons.complaint(BEHAVIOURS["verified_fraud_complaint"], "c-1", "", " \n")


def test_a_finding_in_the_catalogue_names_the_row_and_how_sure_that_is() -> None:
    certain = reasons.finding(PROHIBITED, "f1", ("软件售后", "贷款"), CERTAIN, "Acme")
    said(certain)
    assert certain.en == (
        "Finding “f1” of quality inspection at “Acme” was confirmed: declared as “软件售后”, the business is in fact "
        "“贷款”, which is the prohibited business “finance: loans” (the same as the catalogue's term “贷款”); "
        f"clause 3: {PROHIBITED.en}"
    )
    likely = reasons.finding(PROHIBITED, "f1", ("软件售后", "小额贷款中介"), LIKELY, "Acme")
    said(likely)
    assert (
        "which is likely the prohibited business “finance: loans” (it contains the catalogue's term “贷款”)"
        in likely.en
    )
    assert "疑似禁止接入业务“金融：贷款”（含有目录用语“贷款”）" in likely.zh
    assert likely.en.endswith("; referred for review")
    assert "referred" not in certain.en
    dated = reasons.finding(PROHIBITED, "f1", (None, "小额贷款中介"), LIKELY, None, END_MS)
    assert dated.en.endswith("; referred for review until 2026-03-02 08:00 UTC")


@pytest.mark.parametrize("term", ["", "loans"])
def test_a_row_that_the_inspector_named_is_not_called_a_term(term: str) -> None:
    reason = reasons.finding(PROHIBITED, "f1", (None, None), Match(LOANS, term, True), None)
    said(reason)
    assert (
        "a business was run that had not been declared, which is the prohibited business “finance: loans”; cl"
        in reason.en
    )
    assert "实际开展了未报备的业务，属于禁止接入业务“金融：贷款”；" in reason.zh


def test_a_finding_outside_the_catalogue_says_so() -> None:
    reason = reasons.finding(UNDECLARED, "f1", ("软件售后", "宠物用品"), None, None)
    said(reason)
    assert "is in fact “宠物用品”, which is not in the prohibited catalogue; clause 4" in reason.en
    assert "实际业务为“宠物用品”，不在禁止接入目录内；接入规范第 4 条" in reason.zh
    unknown = reasons.finding(UNDECLARED, "f1", (None, None), None, None)
    said(unknown)
    assert "confirmed: a business was run that had not been declared; clause 4" in unknown.en


@pytest.mark.parametrize("behaviour", ["in_call_abuse", "blind_calling", "no_consent"])
def test_other_findings_say_nothing_of_businesses(behaviour: str) -> None:
    reason = reasons.finding(BEHAVIOURS[behaviour], "f1", ("软件", "贷款"), None, "Acme")
    said(reason)
    assert "贷款" not in reason.zh
    assert reason.en == (
        "Finding “f1” of quality inspection at “Acme” was confirmed; "
        f"clause {BEHAVIOURS[behaviour].clause}: {BEHAVIOURS[behaviour].en}"
    )


def test_an_escalation_says_that_it_is_the_houses_rule_and_no_clause() -> None:
    strikes = Escalation("three-strikes", 3, 30 * DAY_MS, "major", "review", False)
    reason = reasons.repeated(strikes, 3, "Acme")
    said(reason)
    assert reason.en == (
        "“Acme” has 3 violations on record within 30 d, and 3 or more lead to termination of service by the house's "
        "own rule “three-strikes”, not by a clause of the access rules; referred for review"
    )
    assert "此为本平台内部规则“three-strikes”，非接入规范条款；已提交人工复核" in reason.zh
    severe = reasons.repeated(Escalation("x", 1, 90_000, "severe", "enforce", True), 1, None)
    said(severe)
    assert severe.en.startswith("The tenant has 1 violation on record within 90 s, and 1 or more lead to a ban by")
    assert "referred" not in severe.en
    assert "即封号" in severe.zh


def test_reviews_reversals_and_lapses_say_who_and_why() -> None:
    original = Reason("原因", "Original")
    upheld = reasons.upheld(original, ReviewQuote("ops-1", "听了录音"))
    said(upheld)
    assert upheld == Reason(
        "原因；经人工复核维持（复核人：“ops-1”），理由：“听了录音”",
        "Original; upheld on review by “ops-1”, because “听了录音”",
    )
    assert reasons.upheld(original, ReviewQuote("", "")) == Reason("原因；经人工复核维持", "Original; upheld on review")
    chosen = reasons.upheld(original, ReviewQuote("ops-1", ""), "ban")
    assert chosen == Reason(
        "原因；经人工复核维持，处置定为封号（复核人：“ops-1”）", "Original; upheld on review as a ban by “ops-1”"
    )
    overturned = reasons.reversed_by_review("ban", ReviewQuote("ops-1", "not them"))
    assert overturned.en == "The ban was overturned on review by “ops-1”, because “not them”"
    assert overturned.zh == "封号经人工复核撤销（复核人：“ops-1”），理由：“not them”"
    for kind in ("warning", "termination", "ban", "admission_rejected", "something new"):
        said(reasons.reversed_by_review(kind, ReviewQuote("ops", "x")))
    for record in ("complaint", "finding", "something new"):
        assert "“r-1”" in said(reasons.reversed_by_dismissal(record, "r-1"))
    assert "only 1 is left unreversed, fewer than the 3 needed" in said(reasons.escalation_unsupported("x", 1, 3))
    assert "only 0 are left unreversed" in said(reasons.escalation_unsupported("x", 0, 3))
    assert reasons.lapsed(7 * DAY_MS).en == "No review came within 7 d, so the pending decision lapsed"
    assert reasons.lapsed(7 * DAY_MS).zh == "7 天内未有人工复核结果，待复核的决定失效"


def test_a_refused_application_names_the_field_the_row_and_the_term() -> None:
    likely = reasons.admission(LIKELY, "scenario", "a1", "给老客户推荐贷款")
    said(likely)
    assert likely.en == (
        "The scenario “给老客户推荐贷款” in application “a1” is likely the prohibited business “finance: loans” "
        "(it contains the catalogue's term “贷款”); referred for review"
    )
    certain = reasons.admission(CERTAIN, "declared_business", "a1", "贷款")
    said(certain)
    assert "号码申请“a1”的报备业务“贷款”属于禁止接入业务“金融：贷款”" in certain.zh
    assert "referred" not in certain.en
    assert "不再开通" in said(reasons.banned_applicant("a1"))


def test_an_application_that_waits_says_so_and_what_became_of_it() -> None:
    waits = reasons.application_waits("a1", "送餐", None)
    said(waits)
    assert waits == Reason(
        "号码申请“a1”（报备业务“送餐”）待人工审核，以最终申请号码审核为准",
        "Application “a1” for “送餐” waits for its review, which decides whether numbers are given",
    )
    likely = reasons.application_waits("a1", "送餐", (LIKELY, "scenario", "推荐贷款"))
    said(likely)
    assert "；其业务场景“推荐贷款”疑似禁止接入业务" in likely.zh
    for kind, zh, en in (("admission_approved", "通过", "approved"), ("admission_rejected", "驳回", "rejected")):
        reviewed = reasons.application_reviewed("a1", kind, ReviewQuote("ops-1", "x"))
        said(reviewed)
        assert reviewed == Reason(
            f"号码申请“a1”经人工审核{zh}（复核人：“ops-1”），理由：“x”",
            f"Application “a1” was {en} on review by “ops-1”, because “x”",
        )
    said(reasons.newer_application("a1"))
    said(reasons.application_forgotten("a1", 400 * DAY_MS))
