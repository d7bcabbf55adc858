"""The building blocks of sentences: numbers, times, durations, quotations, clauses."""

import re
import unicodedata
from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Decimal
from typing import NamedTuple

from monitor.policy.catalogue import Match
from monitor.policy.model import Behaviour
from monitor.text.masking import mask_text
from monitor.text.numbers import exact, plain_decimal, shortest_decimal
from monitor.text.timestamps import instant

QUOTED_MAX = 60
_MASKED_MAX = 512
"""The maximum number of code points of a quoted text; a longer one is cut and ends in an ellipsis."""

_MINUTE_MS = 60_000
_HOUR_MS = 60 * _MINUTE_MS
_DAY_MS = 24 * _HOUR_MS
# The digits of a measured value, unless more are needed to distinguish it from what it is compared with.
_DIGITS = 3
_MOST_DIGITS = 17


class ReviewQuote(NamedTuple):
    """The reviewer and the reason of a review. ``ids``: those of its records, shown whole where a text repeats one."""

    reviewer: str
    reason: str
    ids: Iterable[str] = ()


def count(n: int) -> str:
    """``1031`` as ``1,031``."""
    return f"{n:,d}"


def rounded(value: float, anchors: Iterable[float] = ()) -> str:
    """Three significant digits, or more if needed to show on which side of each anchor ``value`` is."""
    return plain_decimal(_rounded(shortest_decimal(value), [shortest_decimal(a) for a in anchors]))


def rounded_percent(value: float, anchors: Iterable[float] = ()) -> str:
    """A share like `rounded`, in per cent without the sign."""
    return plain_decimal(_rounded(shortest_decimal(value) * 100, [shortest_decimal(a) * 100 for a in anchors]))


def _rounded(whole: Decimal, anchors: list[Decimal]) -> Decimal:
    sides = [whole.compare(anchor) for anchor in anchors]  # -1, 0 or 1
    for digits in range(_DIGITS, _MOST_DIGITS + 1):
        places = min(0, whole.adjusted() + 1 - digits)
        near = whole.quantize(Decimal(1).scaleb(places), rounding=ROUND_HALF_EVEN)
        if [near.compare(anchor) for anchor in anchors] == sides:
            return near
    return whole


def span(ms: int) -> tuple[str, str]:
    """A duration in Chinese and English, in the largest unit without a remainder; days from two on."""
    if ms % _DAY_MS == 0 and ms >= 2 * _DAY_MS:
        return f"{count(ms // _DAY_MS)} 天", f"{count(ms // _DAY_MS)} d"
    if ms % _HOUR_MS == 0:
        return f"{count(ms // _HOUR_MS)} 小时", f"{count(ms // _HOUR_MS)} h"
    if ms % _MINUTE_MS == 0:
        return f"{count(ms // _MINUTE_MS)} 分钟", f"{count(ms // _MINUTE_MS)} min"
    return f"{exact(ms / 1000)} 秒", f"{exact(ms / 1000)} s"


def quoted(text: str | None, ids: Iterable[str] = ()) -> str | None:
    """A record's text as ``“...”``: on one line, telephone numbers masked, then cut; None if nothing is left.

    ``ids`` of the record are not masked where the text repeats them. No setting changes what a decision says."""
    shown = _one_line(text)
    if not shown:
        return None
    # Masked before it is cut, or the cut could leave a number too short to be recognised. What is far behind the cut is
    # not looked at: the cost does not depend on the length of the text.
    shown = mask_text(shown[:_MASKED_MAX], ids)
    if len(shown) > QUOTED_MAX:
        shown = shown[: QUOTED_MAX - 1].rstrip() + "…"
    return f"“{shown}”"


def named(identifier: str) -> str:
    """An id in full, since people search for it."""
    return f"“{_one_line(identifier)}”"


def clause(behaviour: Behaviour) -> tuple[str, str]:
    """The clause of the access rules in their own Chinese wording, to follow the facts."""
    return (
        f"；接入规范第 {behaviour.clause} 条：{behaviour.zh}",
        f"; clause {behaviour.clause}: {behaviour.en}",
    )


def referred(review_by_ms: int | None = None) -> tuple[str, str]:
    """That the decision waits for review, and until when if that is known."""
    if review_by_ms is None:
        return "；已提交人工复核", "; referred for review"
    return f"；已提交人工复核，截止 {instant(review_by_ms)}", f"; referred for review until {instant(review_by_ms)}"


def quotation(
    before_zh: str, after_zh: str, before_en: str, after_en: str, text: str | None, ids: Iterable[str]
) -> tuple[str, str]:
    """A quotation with the text around it; empty if there is no text."""
    said = quoted(text, ids)
    return (f"{before_zh}{said}{after_zh}", f"{before_en}{said}{after_en}") if said else ("", "")


def catalogue_row(match: Match) -> tuple[str, str]:
    """Which prohibited business it is, how certain that is, and the matching term."""
    row_zh, row_en = f"“{match.row.zh}”", f"“{match.row.en}”"
    if match.term in ("", match.row.key):
        # The record itself named the row.
        return f"属于禁止接入业务{row_zh}", f"is the prohibited business {row_en}"
    if match.certain:
        return (
            f"属于禁止接入业务{row_zh}（与目录用语“{match.term}”一致）",
            f"is the prohibited business {row_en} (the same as the catalogue's term “{match.term}”)",
        )
    return (
        f"疑似禁止接入业务{row_zh}（含有目录用语“{match.term}”）",
        f"is likely the prohibited business {row_en} (it contains the catalogue's term “{match.term}”)",
    )


def reviewed_by(by: ReviewQuote) -> tuple[str, str]:
    """By whom a decision was reviewed, and why, to follow the verdict."""
    who_zh, who_en = quotation("（复核人：", "）", " by ", "", by.reviewer, by.ids)
    why_zh, why_en = quotation("，理由：", "", ", because ", "", by.reason, by.ids)
    return who_zh + why_zh, who_en + why_en


def _one_line(text: str | None) -> str:
    """The text on one line: control and invisible characters could hide or reorder their neighbours."""
    seen = text or ""
    if not seen.isprintable():  # that is: of the categories C and Z, it has only spaces
        seen = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in seen)
    return re.sub(" +", " ", seen).strip()
