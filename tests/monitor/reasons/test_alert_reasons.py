"""The sentences of alerts: why one fires, and why it is resolved."""

from typing import get_args

import pytest
from metric_facts import FACTS
from reason_samples import (
    BLIND,
    measure,
    rule,
    said,
)

from monitor import reasons
from monitor.policy.metrics import METRICS
from monitor.policy.model import Direction, Mode
from schemas.outputs import Measure, Reason


def alerted(one: Measure | None, state: str, **changed: object) -> Reason:
    return reasons.alert(rule(**changed), one, state, BLIND)  # type: ignore[arg-type]


def test_an_alert_says_why_it_fires() -> None:
    reason = alerted(measure("short_call_ratio", 200, 1000, 0.15, 0.17), "firing", confidence=0.95)
    said(reason)
    assert reason.en == (
        "Alert: 200 of 1,000 answered calls lasted at most 6 s in the last 24 h: 20 %, surely above 15 % "
        f"(95 % confidence); clause 6: {BLIND.en}"
    )
    assert reason.zh.startswith("预警：最近 24 小时内，1,000 通接通电话中 200 通")


def test_an_alert_that_is_over_whatever_its_value_is_says_why() -> None:
    for unmeasured in get_args(reasons.Unmeasured):
        reason = reasons.alert(rule(), None, "resolved", BLIND, unmeasured)
        said(reason)
        assert "no records" not in reason.en
    shadow = reasons.alert(rule(mode="shadow"), None, "resolved", BLIND, "policy_changed")
    assert shadow.en.endswith("; a shadow rule, only observed")


@pytest.mark.parametrize(
    ("one", "en", "zh"),
    [
        (None, "Alert over: no records to judge in the last 24 h", "预警解除：最近 24 小时内没有可供判断的记录"),
        (
            measure("short_call_ratio", 0, 0, 0.15),
            "Alert over: no answered calls in the last 24 h, so no share of short calls",
            "预警解除：最近 24 小时内没有接通电话可供计算短通话占比",
        ),
        (
            measure("short_call_ratio", 10, 20, 0.15),
            "Alert over: 10 of 20 answered calls lasted at most 6 s in the last 24 h: 50 %, "
            "fewer than the 100 answered calls needed to judge",
            "不足判断所需的 100 通接通电话",
        ),
        (
            measure("short_call_ratio", 119_999, 1_000_000, 0.15),
            "lasted at most 6 s in the last 24 h: 11.9999 %, no longer above 12 %",
            "占比 11.9999%，不再高于解除线 12%",
        ),
        (
            measure("short_call_ratio", 14, 100, 0.15),
            "lasted at most 6 s in the last 24 h: 14 %, not in breach of the rule at the window's end",
            "占比 14%，窗口结束时判定未触发规则",
        ),
    ],
)
def test_an_alert_says_why_it_is_resolved(one: Measure | None, en: str, zh: str) -> None:
    reason = alerted(one, "resolved", recover=0.12)
    said(reason)
    assert en in reason.en
    assert zh in reason.zh


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("direction", ["above", "below"])
@pytest.mark.parametrize("state", ["firing", "resolved"])
@pytest.mark.parametrize("mode", ["enforce", "review", "shadow"])
def test_alerts_of_every_metric_read_well(name: str, direction: Direction, state: str, mode: Mode) -> None:
    numerator, denominator, low, high, en, zh = FACTS[name]
    threshold = low if direction == "above" else high
    for one in (measure(name, numerator, denominator, threshold), None, Measure(name, 0, 0, None, threshold, None)):
        reason = reasons.alert(rule(name, threshold, direction, mode=mode), one, state, BLIND)
        said(reason)
        assert ("shadow" in reason.en) == (mode == "shadow")
        if one and one.value is not None:
            assert en.removesuffix(" in the").removesuffix(" in") in reason.en
            assert zh.rstrip("，") in reason.zh
