"""Why something was rejected or refused, as a Chinese reader sees it."""

import re
from pathlib import Path
from string import Formatter

import pytest

import streams.console.cases.sending
import streams.console.policies.checker
import streams.console.policies.sending
import streams.reviews.validation
from helpers.console_harness import console_at
from helpers.console_pages import decided, pages_of
from helpers.english_sentences import english_in, english_on
from helpers.wording_tables import one_sided
from monitor.adapters.errors import RowErrorCode
from monitor.core.decisions.review_rejection import ReviewRejection
from monitor.report.rejection_wording import REJECTIONS
from monitor.text.bilingual import Bilingual
from monitor.text.display import DEFAULT
from schemas.error_codes import ErrorCode
from streams.console.identity.users import Role
from streams.console.pages.formats import Formats

MODULES = (
    streams.console.cases.sending,
    streams.console.policies.checker,
    streams.console.policies.sending,
    streams.reviews.validation,
)
CODES = {*ErrorCode, *RowErrorCode, *(one.value.partition(":")[0] for one in ReviewRejection)}
T0 = 1_772_438_400_000


@pytest.mark.parametrize("code", sorted(map(str, CODES)))
def test_every_code_of_a_rejection_is_there_in_chinese(code: str) -> None:
    said = Formats("zh", "UTC", DEFAULT, 0).rejected(f"{code}: `x`: expected y")
    assert re.search("[\u4e00-\u9fff]", said)
    assert english_in(said) == []


def test_every_code_is_there_in_both_languages() -> None:
    assert one_sided(REJECTIONS.values()) == []


def test_a_code_of_another_release_is_not_known() -> None:
    assert Formats("zh", "UTC", DEFAULT, 0).rejected("new_code: of tomorrow") == ""


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_every_sentence_of_a_refusal_has_the_same_values_in_both_languages(module: object) -> None:
    found = [value for value in vars(module).values() if isinstance(value, Bilingual) and value.en]
    assert found
    for both in found:
        assert re.search("[\u4e00-\u9fff]", both.zh), both
        assert english_in(both.zh) == [], both
        zh, en = ({name for _, name, _, _ in Formatter().parse(text) if name} for text in both)
        assert zh == en, both


@pytest.mark.parametrize(
    ("language", "said"), [("zh", "不是等待审核的申请"), ("en", "is not an application that waits")]
)
async def test_a_refused_verdict_says_why_in_the_language_of_the_reader(
    tmp_path: Path, language: str, said: str
) -> None:
    async with console_at(tmp_path) as console, pages_of(console, Role.REVIEWER) as pages:
        case = decided(1, "acme", T0, tier="major", status="pending_review", review_by_ms=T0 + 10**9)
        await console.put(case)
        console.now_ms = T0 + 1
        pages.cookies.set("lang", language)
        answer = await pages.post(f"/cases/{case.id}/verdict", data={"verdict": "approve", "reason": "x"})
        assert answer.status_code == 409, answer.text
        assert said in answer.text
        notice = answer.text.partition('class="notice bad"')[2].partition("</p>")[0]
        assert language == "en" or english_on(f"<p {notice}</p>") == []
