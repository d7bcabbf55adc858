"""Texts in reasons: those of records are cut, masked and cleaned, those of clauses are quoted as they are."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reason_samples import (
    BEHAVIOURS,
    BLIND,
    CERTAIN,
    DAY_MS,
    LIKELY,
    PROHIBITED,
    UNDECLARED,
    said,
)

from helpers.thorough import examples
from monitor import reasons
from monitor.policy.catalogue import Match
from monitor.policy.model import Behaviour, Escalation
from monitor.reasons.wording import QUOTED_MAX, ReviewQuote, quoted
from monitor.text.masking import mask_text
from schemas.outputs import Reason


def test_no_telephone_number_of_a_record_is_in_a_reason() -> None:
    number = "+86 138-1234-5678"
    reported = [
        reasons.complaint(BLIND, "c", number, number),
        reasons.finding(UNDECLARED, "f", (number, number), None, number),
        reasons.repeated(Escalation("e", 3, DAY_MS, "major", "review", False), 3, number),
        reasons.upheld(Reason("原因", "Original"), ReviewQuote(number, f"called {number}")),
        reasons.reversed_by_review("ban", ReviewQuote(number, number)),
        reasons.admission(LIKELY, "scenario", "a", f"贷款热线 {number}"),
    ]
    for reason in reported:
        text = said(reason)
        assert "1234" not in text
        assert "5678" not in text
        assert "78" in text


def test_a_number_at_the_cut_is_masked_before_it_is_cut() -> None:
    text = "x" * (QUOTED_MAX - 5) + "13812345678"
    shown = quoted(text)
    assert shown is not None
    assert not any(c.isdigit() for c in shown)
    assert len(shown) == QUOTED_MAX + 2
    assert shown.endswith("…”")


def test_a_record_cannot_break_the_line_or_turn_the_writing_direction() -> None:
    shown = quoted("a\r\nb\t\u202ec\u0000d\u2028e\ud800")
    assert shown == "“a b c d e”"
    assert "\n" not in reasons.reversed_by_dismissal("complaint", "c\n1").en


SOME_TEXT = st.one_of(st.none(), st.text(st.characters(exclude_categories=[]), max_size=200))


@examples(SOME_TEXT, SOME_TEXT, SOME_TEXT, st.sampled_from([None, CERTAIN, LIKELY]), fast=25, most=100)
def test_any_text_of_a_record_makes_one_clean_line(
    first: str | None, second: str | None, third: str | None, match: Match | None
) -> None:
    reported = [
        reasons.complaint(BLIND, first or "c", second, third),
        reasons.finding(PROHIBITED if match else UNDECLARED, "f", (first, second), match, third),
        reasons.upheld(Reason("原因", "Original"), ReviewQuote(first or "", second or "")),
        reasons.admission(LIKELY, "declared_business", "a", first or "x"),
    ]
    for reason in reported:
        for text in (reason.zh, reason.en):
            assert not any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in text)
            text.encode()
            assert len(text) < 1_000


@given(st.text(st.characters(exclude_categories=[]), max_size=300))
def test_a_quotation_is_short_and_has_no_number(text: str) -> None:
    shown = quoted(text)
    if shown is not None:
        assert len(shown) <= QUOTED_MAX + 2
        assert mask_text(shown) == shown


@pytest.mark.parametrize("behaviour", BEHAVIOURS.values(), ids=lambda behaviour: behaviour.id)
def test_every_clause_is_quoted_in_the_rules_own_words(behaviour: Behaviour) -> None:
    reason = reasons.complaint(behaviour, "c", None, None)
    assert f"接入规范第 {behaviour.clause} 条：{behaviour.zh}" in reason.zh
    assert f"clause {behaviour.clause}: {behaviour.en}" in reason.en
