import math
import random
import re
import unicodedata
from collections.abc import Iterator
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reason_samples import (
    BEHAVIOURS,
    BLIND,
    CERTAIN,
    DAY_MS,
    END_MS,
    LIKELY,
    PROHIBITED,
    UNDECLARED,
    WINDOW,
    measure,
    rule,
    said,
)

from monitor import reasons
from monitor.policy.catalogue import Match
from monitor.policy.metric_wording import METRIC_WORDING
from monitor.policy.metrics import METRICS
from monitor.policy.model import Behaviour, Condition, Direction, Escalation, Mode, Params, Rule
from monitor.reasons.wording import QUOTED_MAX, ReviewQuote, quoted, rounded, rounded_percent, span
from monitor.text.masking import mask_text
from monitor.text.timestamps import instant
from schemas.outputs import Measure, Reason

# --- Measured decisions ---


def test_the_sentence_has_the_counts_the_value_the_threshold_and_the_window() -> None:
    reason = reasons.measured(
        rule(confidence=0.95), measure("short_call_ratio", 200, 1031, 0.15, 0.17), WINDOW, "final", BLIND
    )
    said(reason)
    assert reason.en == (
        "200 of 1,031 answered calls lasted at most 6 s in the 24 h to 2026-03-02 08:00 UTC: 19.4 %, "
        f"surely above 15 % (95 % confidence); clause 6: {BLIND.en}"
    )
    assert reason.zh == (
        "截至 2026-03-02 08:00 UTC 的 24 小时内，1,031 通接通电话中 200 通通话时长不超过 6 秒，占比 19.4%，"
        f"有 95% 的把握高于 15%；接入规范第 6 条：{BLIND.zh}"
    )


def test_surely_is_written_only_with_a_bound() -> None:
    plain = reasons.measured(rule(), measure("asr", 3, 200, 0.05), WINDOW, "final", BLIND)
    assert "sure" not in plain.en
    assert "把握" not in plain.zh
    bound = reasons.measured(
        rule("asr", 0.05, "below", 0.99), measure("asr", 3, 200, 0.05, 0.04), WINDOW, "final", BLIND
    )
    assert "surely below 5 % (99 % confidence)" in bound.en
    assert "有 99% 的把握低于 5%" in bound.zh


METRIC_CASES = [(name, direction) for name in METRICS for direction in ("above", "below")]

# For each metric: numerator, denominator, an exceeded threshold, a threshold not reached, and the sentence.
FACTS: dict[str, tuple[int, int | None, float, float, str, str]] = {
    "attempts": (12000, None, 10000, 15000, "12,000 outbound attempts in the", "外呼尝试 12,000 次，"),
    "answered": (900, None, 800, 1000, "900 answered calls in the", "接通 900 通，"),
    "policy_blocked": (7, None, 5, 9, "7 calls blocked by policy in the", "被平台策略拦截 7 次，"),
    "asr": (
        30,
        1000,
        0.01,
        0.05,
        "30 of 1,000 outbound attempts were answered in the",
        "1,000 次外呼尝试中 30 次接通，占比 3%，",
    ),
    "acd_s": (
        4_200_000,
        1000,
        4,
        5,
        "1,000 answered calls lasted 4.2 s on average in the",
        "1,000 通接通电话的平均通话时长为 4.2 秒，",
    ),
    "short_cancel_ratio": (
        300,
        1000,
        0.2,
        0.5,
        "300 of 1,000 outbound attempts were cancelled by the caller within 3 s of ringing in the",
        "1,000 次外呼尝试中 300 次振铃不超过 3 秒即被主叫取消，占比 30%，",
    ),
    "out_of_hours_reject_ratio": (
        1,
        40,
        0.02,
        0.03,
        "1 of 40 outbound attempts out of hours was rejected, or ended by the callee within 10 s "
        "(out of hours: outside 08:00 to 21:00, Asia/Shanghai) in the",
        "40 次时段外外呼尝试中 1 次被拒接，或由被叫在 10 秒内挂断"
        "（时段外指 Asia/Shanghai 的 08:00 至 21:00 之外），占比 2.5%，",
    ),
    "median_talk_s": (
        6_400,
        1000,
        6,
        6.5,
        "the median talk time of 1,000 answered calls was 6.4 s in the",
        "1,000 通接通电话的通话时长中位数为 6.4 秒，",
    ),
    "ner": (
        600,
        1000,
        0.5,
        0.7,
        "600 of 1,000 outbound attempts reached the called side (answered, busy, not answered or rejected) in",
        "1,000 次外呼尝试中 600 次到达被叫一侧",
    ),
    "pdd_s": (
        9_000_000,
        1000,
        8,
        10,
        "1,000 outbound attempts rang 9 s after dialling on average in the",
        "1,000 次振铃的外呼平均拨号后延迟为 9 秒，",
    ),
    "short_call_ratio": (200, 1000, 0.1, 0.3, "200 of 1,000 answered calls lasted at most 6 s", "不超过 6 秒"),
    "zero_second_ratio": (200, 1000, 0.1, 0.3, "200 of 1,000 answered calls lasted 0 s", "通话时长为 0 秒"),
    "long_call_ratio": (200, 1000, 0.1, 0.3, "200 of 1,000 answered calls lasted at least 60 s", "达到 60 秒"),
    "invalid_number_ratio": (
        200,
        1000,
        0.1,
        0.3,
        "200 of 1,000 outbound attempts went to invalid numbers",
        "200 次拨打了空号",
    ),
    "reject_ratio": (200, 1000, 0.1, 0.3, "200 of 1,000 outbound attempts were rejected", "200 次被拒接"),
    "cancel_ratio": (
        200,
        1000,
        0.1,
        0.3,
        "200 of 1,000 outbound attempts were cancelled by the caller",
        "200 次在接通前由主叫取消",
    ),
    "carrier_blocked_ratio": (
        200,
        1000,
        0.1,
        0.3,
        "200 of 1,000 outbound attempts were blocked by carriers",
        "200 次被运营商拦截",
    ),
    "callee_hangup_ratio": (
        200,
        1000,
        0.1,
        0.3,
        "200 of 1,000 answered calls were ended by the callee within 10 s",
        "200 通由被叫在 10 秒内挂断",
    ),
    "distinct_callee_ratio": (
        900,
        1000,
        0.8,
        0.95,
        "1,000 outbound attempts went to 900 different callees",
        "1,000 次外呼尝试拨打了 900 个不同的被叫",
    ),
    "sequential_ratio": (
        200,
        1000,
        0.1,
        0.3,
        "200 of 1,000 different numbers called directly follow another number that was called too",
        "1,000 个不同的被叫号码中 200 个紧接在另一个同被拨打的号码之后（连号）",
    ),
    "callee_over_limit": (
        7,
        None,
        5,
        9,
        "7 callees were called more than 5 times each",
        "7 个被叫各被拨打超过 5 次",
    ),
    "caller_peak": (500, None, 400, 600, "one caller number made 500 outbound attempts", "最多外呼 500 次"),
    "callee_peak": (40, None, 30, 50, "one callee received 40 outbound attempts", "单个被叫最多被呼叫 40 次"),
    "callers": (
        220,
        None,
        200,
        300,
        "outbound attempts came from 220 different caller numbers",
        "用 220 个不同的主叫号码外呼",
    ),
    "top_callee_share": (
        200,
        1000,
        0.1,
        0.3,
        "200 of 1,000 answered calls went to the ten callees with the most answered calls",
        "1,000 通接通电话中 200 通拨往接通最多的十个被叫",
    ),
    "block_ratio": (
        200,
        1000,
        0.1,
        0.3,
        "200 of 1,000 different numbers called differ from at least nine others called in the last two digits alone",
        "1,000 个不同的被叫号码中 200 个与至少九个同被拨打的号码仅末两位不同（同一号段）",
    ),
    "consent_peak": (
        50,
        None,
        40,
        60,
        "one consent id was used to reach 50 different callees",
        "以同一个同意凭证接通 50 个不同的被叫",
    ),
    "calls_per_caller": (
        1000,
        70,
        14,
        15,
        "70 different caller numbers made 1,000 outbound attempts, 14.3 each on average",
        "70 个不同的主叫号码外呼 1,000 次，平均每个号码 14.3 次",
    ),
    "out_of_hours_ratio": (
        200,
        1000,
        0.1,
        0.3,
        "200 of 1,000 outbound attempts began outside 08:00 to 21:00 (Asia/Shanghai)",
        "200 次在 08:00 至 21:00（Asia/Shanghai）之外拨出",
    ),
    "consent_coverage": (200, 1000, 0.1, 0.3, "200 of 1,000 answered calls carried a consent id", "带有同意凭证"),
    "abandon_ratio": (200, 1000, 0.1, 0.3, "200 of 1,000 inbound calls were abandoned", "通呼入电话中 200 通被放弃"),
    "complaints": (7, None, 5, 9, "7 complaints were received", "收到投诉 7 件"),
    "complaint_rate": (
        7,
        1000,
        0.005,
        0.01,
        "7 complaints were received for 1,000 answered calls",
        "1,000 通接通电话收到投诉 7 件，占比 0.7%，",
    ),
    "complainants": (7, None, 5, 9, "7 different complainants came forward", "7 名不同的投诉人提出投诉"),
    "verified_complaints": (7, None, 5, 9, "7 complaints were verified", "经核实的投诉 7 件"),
    "verified_complaint_rate": (
        7,
        1000,
        0.005,
        0.01,
        "7 complaints were verified for 1,000 answered calls",
        "1,000 通接通电话有经核实的投诉 7 件，占比 0.7%，",
    ),
}


def test_no_metric_is_without_words() -> None:
    assert set(FACTS) == set(METRICS) == set(METRIC_WORDING)


@pytest.mark.parametrize(("name", "direction"), METRIC_CASES)
def test_each_metric_is_a_sentence_in_both_directions(name: str, direction: Direction) -> None:
    numerator, denominator, low, high, en, zh = FACTS[name]
    assert (denominator is None) == (METRICS[name].denominator is None)
    threshold = low if direction == "above" else high
    reason = reasons.measured(
        rule(name, threshold, direction), measure(name, numerator, denominator, threshold), WINDOW, "final", BLIND
    )
    said(reason)
    assert en in reason.en
    assert zh in reason.zh
    limit = {
        "ratio": f"{threshold * 100:g} %",
        "seconds": f"{threshold:g} s",
        "count": f"{int(threshold):,d}",
        "quotient": f"{threshold:g}",
    }[METRICS[name].unit]
    assert f", {direction} {limit}; clause 6" in reason.en
    assert (
        f"，{'高于' if direction == 'above' else '低于'} {limit.replace(' %', '%').replace(' s', ' 秒')}；" in reason.zh
    )


@pytest.mark.parametrize("name", METRICS)
def test_one_is_not_written_in_the_plural(name: str) -> None:
    denominator = 1 if METRICS[name].denominator else None
    numerator = METRICS[name].scale
    reason = reasons.measured(rule(name, 0.5), measure(name, numerator, denominator, 0.5), WINDOW, "final", BLIND)
    said(reason)
    assert not re.search(
        r"(?<!of )\b1 (attempts|answered calls|calls|complaints|complainants|callees|outbound attempts)", reason.en
    )
    assert not re.search(r"\b1 (of 1 [a-z ]+ )?were\b", reason.en)


@pytest.mark.parametrize(
    ("numerator", "denominator", "threshold", "shown"),
    [
        (15001, 100000, 0.15, "15.001 %, above 15 %"),
        (1, 7, 0.14, "14.3 %, above 14 %"),
        (1000000, 1000001, 0.9, "99.9999 %, above 90 %"),
        (1000001, 10000000, 0.1, "10.00001 %, above 10 %"),
        (3, 100000, 0.00001, "0.003 %, above 0.001 %"),
        (7, 100, 0.0699999, "7 %, above 6.99999 %"),
        (3, 2, 1.0, "150 %, above 100 %"),
    ],
)
def test_a_breach_never_reads_as_none_because_of_rounding(
    numerator: int, denominator: int, threshold: float, shown: str
) -> None:
    reason = reasons.measured(
        rule("complaint_rate", threshold),
        measure("complaint_rate", numerator, denominator, threshold),
        WINDOW,
        "final",
        BLIND,
    )
    assert shown in reason.en


def test_the_rules_own_parameters_are_in_the_words() -> None:
    own = rule("callee_over_limit", 2)
    for params, words in [
        (Params(6000, 3, "Asia/Shanghai"), "called more than 3 times each"),
        (Params(6000, 1000, "Asia/Shanghai"), "called more than 1,000 times each"),
    ]:
        changed = Rule(**{**{f: getattr(own, f) for f in Rule.__slots__}, "params": params})
        reason = reasons.measured(changed, measure("callee_over_limit", 9, None, 2), WINDOW, "final", BLIND)
        assert words in reason.en
    short = Rule(**{**{f: getattr(own, f) for f in Rule.__slots__}, "params": Params(2500, 5, "Europe/Berlin")})
    reason = reasons.measured(short, measure("short_call_ratio", 9, 20, 0.1), WINDOW, "final", BLIND)
    assert "lasted at most 2.5 s" in reason.en
    reason = reasons.measured(short, measure("out_of_hours_ratio", 9, 20, 0.1), WINDOW, "final", BLIND)
    assert "(Europe/Berlin)" in reason.en


def test_the_further_conditions_are_named_with_what_was_measured() -> None:
    also = (
        (Condition("complainants", "at_least", 3), 4.0),
        (Condition("acd_s", "below", 5.5), 5.4999),
        (Condition("invalid_number_ratio", "at_most", 0.08), 1 / 13),
        (Condition("asr", "above", 0.2), None),
    )
    reason = reasons.measured(rule(), measure("short_call_ratio", 200, 1000, 0.15), WINDOW, "final", BLIND, also)
    said(reason)
    assert (
        ", with complainants 4 (at least 3) and average call duration 5.4999 s (below 5.5 s)"
        " and share of invalid numbers 7.69 % (at most 8 %) and no answer-seizure ratio (needed: above 20 %); clause 6"
    ) in reason.en
    assert (
        "，同时投诉人数 4（不低于 3）、平均通话时长 5.4999 秒（低于 5.5 秒）"
        "、空号占比 7.69%（不高于 8%）、接通率无值（要求高于 20%）；"
    ) in reason.zh


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_can_be_a_further_condition(name: str) -> None:
    also = ((Condition(name, "at_most", 0.5), 0.25),)
    said(reasons.measured(rule(), measure("short_call_ratio", 200, 1000, 0.15), WINDOW, "final", BLIND, also))


def test_next_steps_are_stated_only_for_review_and_shadow() -> None:
    one = measure("short_call_ratio", 200, 1000, 0.15)
    final = reasons.measured(rule(), one, WINDOW, "final", BLIND)
    assert final.en.endswith(BLIND.en)
    assert final.zh.endswith(BLIND.zh)
    pending = reasons.measured(rule(mode="review"), one, WINDOW, "pending_review", BLIND)
    assert pending.en == final.en + "; referred for review"
    assert pending.zh == final.zh + "；已提交人工复核"
    dated = reasons.measured(rule(mode="review"), one, WINDOW, "pending_review", BLIND, (), END_MS + 7 * DAY_MS)
    assert dated.en == final.en + "; referred for review until 2026-03-09 08:00 UTC"
    shadow = reasons.measured(rule(mode="shadow"), one, WINDOW, "final", BLIND)
    assert shadow.en == final.en + "; a shadow rule, only noted, nothing follows"
    assert shadow.zh == final.zh + "；影子规则，仅作记录，不产生任何后果"


@pytest.mark.parametrize(
    ("ms", "zh", "en"),
    [
        (90_000, "90 秒", "90 s"),
        (1_500, "1.5 秒", "1.5 s"),
        (300_000, "5 分钟", "5 min"),
        (3_600_000, "1 小时", "1 h"),
        (DAY_MS, "24 小时", "24 h"),
        (2 * DAY_MS, "2 天", "2 d"),
        (30 * DAY_MS, "30 天", "30 d"),
        (26 * 3_600_000, "26 小时", "26 h"),
    ],
)
def test_a_span_is_read_in_its_largest_whole_unit(ms: int, zh: str, en: str) -> None:
    assert span(ms) == (zh, en)


def test_times_are_utc_to_the_second() -> None:
    assert instant(END_MS) == "2026-03-02 08:00 UTC"
    assert instant(END_MS + 1) == "2026-03-02 08:00 UTC"
    assert instant(END_MS + 59_999) == "2026-03-02 08:00:59 UTC"


# --- Alerts ---


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


# --- Text from records ---


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


@given(SOME_TEXT, SOME_TEXT, SOME_TEXT, st.sampled_from([None, CERTAIN, LIKELY]))
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


# --- Numbers ---


@given(st.floats(0, 1e9, allow_nan=False), st.floats(0, 1e9, allow_nan=False))
def test_a_rounded_value_lies_on_the_same_side_of_its_anchor(value: float, anchor: float) -> None:
    for shown, scale in ((rounded(value, (anchor,)), 1), (rounded_percent(value, (anchor,)), 100)):
        number = Decimal(shown.replace(",", "")) / scale
        assert (number > Decimal(repr(anchor))) == (value > anchor)
        assert (number < Decimal(repr(anchor))) == (value < anchor)
        # Three significant digits are never off by more than half a unit of the third.
        assert math.isclose(float(number), value, rel_tol=0.0051, abs_tol=0)


def random_cases(rng: random.Random) -> Iterator[tuple[Rule, Measure, tuple[tuple[Condition, float | None], ...]]]:
    for _ in range(3_000):
        name = rng.choice(list(METRICS))
        denominator = None if METRICS[name].denominator is None else rng.choice([1, 2, 100, rng.randrange(1, 10**7)])
        numerator = rng.choice([0, 1, 2, rng.randrange(10**7)])
        threshold = rng.choice([0.0, 0.15, rng.random(), rng.random() * 1000, float(rng.randrange(10**6))])
        direction: Direction = rng.choice(["above", "below"])
        bound = rng.choice([None, rng.random()])
        confidence = 0.95 if bound is not None else None
        other = rng.choice(list(METRICS))
        also = rng.choice([(), ((Condition(other, "at_least", rng.random()), rng.choice([None, rng.random()])),)])
        yield (
            rule(name, threshold, direction, confidence, rng.choice(["enforce", "review", "shadow"])),
            measure(name, numerator, denominator, threshold, bound),
            also,
        )


def test_any_measure_makes_a_sentence_and_the_same_one_again() -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    for one_rule, one, also in random_cases(random.Random(seed)):
        status = "pending_review" if one_rule.mode == "review" else "final"
        reason = reasons.measured(one_rule, one, WINDOW, status, BLIND, also)
        said(reason)
        assert reason == reasons.measured(one_rule, one, WINDOW, status, BLIND, also)
        said(reasons.alert(one_rule, one, "resolved", BLIND))


@pytest.mark.parametrize("behaviour", BEHAVIOURS.values(), ids=lambda behaviour: behaviour.id)
def test_every_clause_is_quoted_in_the_rules_own_words(behaviour: Behaviour) -> None:
    reason = reasons.complaint(behaviour, "c", None, None)
    assert f"接入规范第 {behaviour.clause} 条：{behaviour.zh}" in reason.zh
    assert f"clause {behaviour.clause}: {behaviour.en}" in reason.en
