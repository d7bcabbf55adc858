"""Rules, measures and matches for the tests of reasons."""

import re
import unicodedata

from monitor.policy.catalogue import Match
from monitor.policy.load import load
from monitor.policy.metrics import METRICS
from monitor.policy.model import CatalogueRow, Direction, Mode, Params, Rule
from schemas.outputs import Measure, Reason, Window

DAY_MS = 86_400_000
END_MS = 1_772_438_400_000  # 2026-03-02 08:00 UTC
WINDOW = Window(END_MS - DAY_MS, END_MS)
BEHAVIOURS = load(None).behaviours
BLIND = BEHAVIOURS["blind_calling"]
PROHIBITED = BEHAVIOURS["undeclared_prohibited_business"]
UNDECLARED = BEHAVIOURS["undeclared_business"]
LOANS = CatalogueRow("loans", "金融：贷款", "finance: loans", ("贷款",), ())
CERTAIN = Match(LOANS, "贷款", True)
LIKELY = Match(LOANS, "贷款", False)


def rule(
    metric: str = "short_call_ratio",
    threshold: float = 0.15,
    direction: Direction = "above",
    confidence: float | None = None,
    mode: Mode = "enforce",
    recover: float | None = None,
    window_ms: int = DAY_MS,
) -> Rule:
    return Rule(
        id="a-rule",
        behaviour="blind_calling",
        metric=metric,
        direction=direction,
        threshold=threshold,
        window_ms=window_ms,
        step_ms=300_000,
        min_denominator=100,
        confidence=confidence,
        also=(),
        cooldown_ms=window_ms,
        recover=threshold if recover is None else recover,
        mode=mode,
        freeze=False,
        params=Params(6000, 5, "Asia/Shanghai"),
    )


def measure(
    metric: str, numerator: int, denominator: int | None, threshold: float, bound: float | None = None
) -> Measure:
    if denominator is None:
        value: float | None = float(numerator)
    else:
        scale = METRICS[metric].scale
        divisor = scale if metric == "median_talk_s" else scale * denominator
        value = numerator / divisor if denominator else None
    return Measure(metric, numerator, denominator, value, threshold, bound)


def said(reason: Reason) -> str:
    """Both sentences, checked for text that no sentence may contain."""
    for text in (reason.zh, reason.en):
        assert text == text.strip()
        assert "\n" not in text
        assert "{" not in text
        assert "}" not in text
        assert not re.search(r"\b(None|nan|inf|True|False|null)\b", text), text
        assert not re.search(r"\d[eE][+-]?\d", text), text
        assert "  " not in text
    assert reason.zh != reason.en
    assert any("CJK" in unicodedata.name(c, "") for c in reason.zh)
    return f"{reason.zh}\n{reason.en}"
