"""The extension makes the same bytes of counts as msgspec and numpy, and leaves what is not plain to them."""

import random
from dataclasses import replace

import numpy as np
import pytest

from helpers.thorough import thorough
from monitor.core.rules import native_measures
from monitor.core.rules.batch_evaluator import OwnCounts
from monitor.core.rules.conditions import Floats
from monitor.core.rules.measure_columns import HourCounts, MeasuredRule
from monitor.core.rules.measure_encoding import MeasureEncoder
from monitor.policy.load import load
from monitor.policy.metrics import METRICS
from monitor.policy.model import Rule

pytestmark = pytest.mark.skipif(
    not native_measures.built(), reason="the extension is not built: no C compiler (`.ci/run` requires it)"
)

RULES = load(None).rules
HOUR_MS = 1_764_244_800_000
WIDTH = 40
IDS = ("rule-{}", '"{}" \\', "规则 {}", "\u2028{}", "x" * 120 + "{}")
THRESHOLDS = (0, 1, 3, 0.25, 0.1, 1e-7, 12.5, 30.0, 100_000, 1e15, -1.0)
COUNTS = (0, 0, 1, 2, 3, 9, 10, 61_440, 999_999, 10**9, 10**15, 2**60, 0.5)


def random_rules(rng: random.Random) -> list[Rule]:
    """Rules of all metrics, with ids and limits of all kinds."""
    found = []
    for number in range(rng.randrange(1, 30)):
        metric = rng.choice(list(METRICS))
        sure = METRICS[metric].proportion and rng.random() < 0.7
        found.append(
            replace(
                rng.choice(RULES),
                id=rng.choice(IDS).format(number),
                metric=metric,
                direction=rng.choice(("above", "below")),
                threshold=rng.choice((*THRESHOLDS, rng.random())),
                min_denominator=rng.choice((0, 1, 3, 20, 1_000_000)),
                confidence=rng.choice((0.8, 0.95, 0.999)) if sure else None,
            )
        )
    return found


def own_counts(rng: random.Random, rules: list[Rule]) -> OwnCounts:
    """Counts of the rules' own metrics, as `BatchEvaluator.own` has them: 0 is the index of the count that is 1."""
    denominator = [rng.randrange(1, WIDTH) if METRICS[rule.metric].denominator else 0 for rule in rules]
    divided = [at if METRICS[rule.metric].divided else 0 for at, rule in zip(denominator, rules, strict=True)]
    columns = ([rng.randrange(1, WIDTH) for _ in rules], denominator, divided)
    present = [rng.choice((0, 0, rng.randrange(1, WIDTH))) for _ in rules]
    return OwnCounts(*(np.array(column, np.int32) for column in (*columns, present)))


def random_counts(rng: random.Random, tenants: int) -> Floats:
    plain = rng.random() < 0.7
    values = [rng.choice(COUNTS[:9] if plain else COUNTS) + rng.choice((0, rng.randrange(500))) for _ in range(WIDTH)]
    counts = np.array([[rng.choice(values) for _ in range(tenants)] for _ in range(WIDTH)], np.float64)
    counts[0] = 1
    return counts


@pytest.mark.parametrize("seed", thorough(range(150), 25))
def test_the_bytes_are_those_of_msgspec_and_numpy(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(seed)
    rules = random_rules(rng)
    own, tenants = own_counts(rng, rules), rng.randrange(1, 60)
    due = sorted(rng.sample(range(len(rules)), rng.randrange(len(rules) + 1)))
    skipped = rng.random() < 0.5
    mask = np.array([[rng.random() < 0.2 for _ in range(tenants)] for _ in due], np.bool_).reshape(len(due), tenants)
    overrides = {
        row: {
            line: MeasuredRule(replace(rules[due[line]], threshold=0.125, min_denominator=2), rng.randrange(5), 1)
            for line in rng.sample(range(len(due)), rng.randrange(1, len(due) + 1))
        }
        for row in range(tenants)
        if due and rng.random() < 0.1
    }
    hour = HourCounts(HOUR_MS, due, random_counts(rng, tenants), mask if skipped else None, overrides)
    rows = np.array(rng.sample(range(tenants), rng.randrange(1, tenants + 1)), np.intp)
    names = [rng.choice(IDS).format(row) for row in rows.tolist()]
    monkeypatch.setattr(native_measures, "enabled", True)
    found = MeasureEncoder(rules, own).encode(hour, rows, names)
    monkeypatch.setattr(native_measures, "enabled", False)
    assert found == MeasureEncoder(rules, own).encode(hour, rows, names)


def test_counts_that_are_written_alike_keep_their_own_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """A count of 0.5 is written as 0, as one of 0 is; the extension leaves it."""
    rule = next(rule for rule in RULES if METRICS[rule.metric].proportion)
    one = np.ones(1, np.int32)
    encoder = MeasureEncoder([replace(rule, min_denominator=1)], OwnCounts(one, 2 * one, 2 * one, 0 * one))
    hour = HourCounts(HOUR_MS, [0], np.array([[1.0, 1, 1], [0, 0.5, 0], [2, 2, 2]]), None, {})
    for enabled in (True, False):
        monkeypatch.setattr(native_measures, "enabled", enabled)
        nothing, half, again = encoder.encode(hour, np.arange(3), ["a", "b", "a"])
        assert b",0,2,0.0," in nothing
        assert b",0,2,0.25," in half
        assert again == nothing


def test_all_values_of_small_counts_are_taken_and_equal() -> None:
    """With 6 decimals, down to one millionth, which is written with an exponent."""
    rules = [replace(rule, min_denominator=1) for rule in RULES if METRICS[rule.metric].proportion][:2]
    numerator, denominator = (
        np.arange(4_000.0) % 50,
        np.repeat([1.0, 3, 7, 99, 1_000, 123_457, 10_000_000, 333_333], 500),
    )
    counts = np.stack([np.ones(4_000), numerator, denominator])
    one = np.ones(len(rules), np.int32)
    own = OwnCounts(one, 2 * one, 2 * one, 0 * one)
    encoder, hour = MeasureEncoder(rules, own), HourCounts(HOUR_MS, range(len(rules)), counts, None, {})
    rows, names = np.arange(4_000), [str(number) for number in range(4_000)]
    taken = native_measures.encode(encoder._native, hour, rows, [b'"%d"' % number for number in range(4_000)])
    assert None not in taken
    assert b"e-6," in b"".join(one or b"" for one in taken)
    assert taken == encoder._encode(hour, rows, [b'"%d"' % number for number in range(4_000)])
    assert len(names) == len(taken)


@pytest.mark.parametrize("number", [10.0**16, 2.0**70, 0.5, -1.0, float("inf"), float("nan")])
def test_a_tenant_with_a_count_that_is_not_plain_is_left(number: float) -> None:
    one = np.ones(1, np.int32)
    encoder = MeasureEncoder(RULES[:1], OwnCounts(one, 2 * one, 2 * one, 0 * one))
    counts = np.array([[1.0, 1.0], [number, 2.0], [4.0, 4.0]])
    hour = HourCounts(HOUR_MS, [0], counts, None, {})
    left, taken = native_measures.encode(encoder._native, hour, np.arange(2), [b'"a"', b'"b"'])
    assert left is None
    assert taken is not None


@pytest.mark.parametrize(
    "wrong", ["width", "due", "rows", "skipped", "negative", "names", "text", "item size", "aligned", "columns", "name"]
)
def test_arguments_that_do_not_fit_are_refused(wrong: str) -> None:
    one = np.ones(1, np.int32)
    encoder = MeasureEncoder(RULES[:1], OwnCounts(one, 2 * one, 2 * one, 0 * one))
    columns, counts = list(encoder._native), np.ones((2, 3))
    due, rows = np.zeros(1, np.int32), np.arange(2, dtype=np.int64)
    skipped, names = np.zeros((1, 2), np.bool_), [b'"a"', b'"b"']
    if wrong == "width":
        counts = np.ones((2, 2))
    elif wrong == "due":
        due = np.ones(1, np.int32)
    elif wrong == "rows":
        rows = rows + 1
    elif wrong == "skipped":
        skipped = np.zeros((2, 2), np.bool_)
    elif wrong == "negative":
        columns[0] = -one
    elif wrong == "names":
        names = names[:1]
    elif wrong == "text":
        columns[-2] = columns[-2] + 1_000_000  # type: ignore[operator]
    elif wrong == "item size":
        columns[5] = columns[5].astype(np.float32)  # type: ignore[union-attr]
    elif wrong == "aligned":
        due = np.zeros(5, np.uint8)[1:].view(np.int32)
    elif wrong == "columns":
        columns = columns[1:]
    else:
        names = [b'"a"', "b"]  # type: ignore[list-item]
    with pytest.raises(TypeError if wrong == "name" else ValueError):
        native_measures._measures.encode(tuple(columns), counts, 2, due, skipped, rows, names, b"")
