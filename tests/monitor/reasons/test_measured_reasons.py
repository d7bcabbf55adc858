"""The sentences of measured decisions: counts, value, threshold, window, and what follows."""

import random
import re
from collections.abc import Iterator

import pytest
from metric_facts import FACTS
from reason_samples import (
    BLIND,
    DAY_MS,
    END_MS,
    WINDOW,
    measure,
    rule,
    said,
)

from monitor import reasons
from monitor.policy.metric_wording import METRIC_WORDING
from monitor.policy.metrics import METRICS
from monitor.policy.model import Condition, Direction, Params, Rule
from schemas.outputs import Measure


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
