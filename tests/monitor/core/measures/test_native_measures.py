"""The extension makes the same bytes of counts as msgspec and numpy, and leaves what is not plain to them."""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from helpers.thorough import thorough
from monitor.byte_rows import ByteRows
from monitor.core.measures import native_measures
from monitor.core.measures.measure_columns import MeasuredHour, MeasuredRule, RuleColumns
from monitor.core.measures.measure_encoding import MeasureEncoder
from monitor.core.measures.native_measures import NativeRules
from monitor.core.rules.conditions import Floats, Rows
from monitor.core.rules.native_pairs import CountBlocks
from monitor.core.rules.rule_counts import OwnCounts
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
COUNTS = (0, 0, 1, 2, 3, 9, 10, 61_440, 999_999, 10**9, 2**32, 2**32 + 1, 10**15, 2**60)


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


class Known:
    """Counts ``[count, tenant]`` as `BatchEvaluator` has them: in blocks, and in columns of a table."""

    def __init__(self, own: OwnCounts, counts: Floats) -> None:
        self.own, self.all = own, counts

    def counts(self, due: Sequence[int], tenants: int, who: Rows) -> Floats:
        assert sorted(who.tolist()) == who.tolist()
        return self.all[:, who]

    def count_blocks(self, due: Sequence[int], tenants: int) -> CountBlocks:
        found, whole = CountBlocks(len(self.all), tenants), self.all.astype(np.int64)
        found.give(1, whole[1:3])
        for place in range(3, len(whole)):
            found.give(place, np.asfortranarray(whole)[place])
        return found


def both(rules: Sequence[Rule], known: Known, hour: MeasuredHour, names: list[str]) -> list[list[tuple[Any, Any]]]:
    """The ids and values by the extension, twice, for it keeps texts, and without it."""
    encoder, found = MeasureEncoder(rules, known), []
    with pytest.MonkeyPatch.context() as patch:
        for enabled in (True, True, False):
            patch.setattr(native_measures, "enabled", enabled)
            found.append(list(zip(*encoder.encode(hour, names), strict=True)))
    return found


def hour_of(due: Sequence[int], tenants: int, who: Rows) -> MeasuredHour:
    return MeasuredHour(HOUR_MS, due, tenants, who, None, {})


@pytest.mark.parametrize("seed", thorough(range(150), 25))
def test_the_bytes_are_those_of_msgspec_and_numpy(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(seed)
    rules = random_rules(rng)
    own, tenants = own_counts(rng, rules), rng.randrange(1, 60)
    monkeypatch.setattr(native_measures, "_BLOCK_BYTES", rng.choice((1, 10_000, 1 << 20)))
    monkeypatch.setattr(native_measures, "_KEPT", rng.choice((1, 2, 256)))
    native_measures._memo.cache_clear()
    due = sorted(rng.sample(range(len(rules)), rng.randrange(len(rules) + 1)))
    who = np.array(rng.sample(range(tenants), rng.randrange(1, tenants + 1)), np.intp)
    mask = np.array([[rng.random() < 0.2 for _ in who] for _ in due], np.bool_).reshape(len(due), len(who))
    overrides = {
        row: {
            line: MeasuredRule(replace(rules[due[line]], threshold=0.125, min_denominator=2), rng.randrange(5), 1)
            for line in rng.sample(range(len(due)), rng.randrange(1, len(due) + 1))
        }
        for row in range(len(who))
        if due and rng.random() < 0.1
    }
    hour = MeasuredHour(HOUR_MS, due, tenants, who, mask if rng.random() < 0.5 else None, overrides)
    names = [rng.choice(IDS).format(number) for number in range(tenants)]
    first, again, expected = both(rules, Known(own, random_counts(rng, tenants)), hour, names)
    assert first == expected
    assert again == expected
    assert [name for name, _ in expected] == [names[tenant].encode() for tenant in who.tolist()]
    native_measures._memo.cache_clear()


def test_rules_that_count_other_things_do_not_share_texts() -> None:
    """Partitions share what is kept of rules that write the same; the policy after a change does not."""
    rule = replace(next(rule for rule in RULES if METRICS[rule.metric].proportion), min_denominator=1)
    one = np.ones(1, np.int32)
    known = Known(OwnCounts(one, 2 * one, 2 * one, 0 * one), np.array([[1.0], [1], [2]]))
    for changed in (rule, replace(rule, threshold=0.75), replace(rule, id="other"), replace(rule, confidence=0.5)):
        first, again, expected = both([changed], known, hour_of([0], 1, np.arange(1)), ["a"])
        assert first == again == expected


def test_counts_that_are_written_alike_keep_their_own_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extension, a count of 0.5 is written as 0, as one of 0 is."""
    rule = next(rule for rule in RULES if METRICS[rule.metric].proportion)
    one = np.ones(1, np.int32)
    known = Known(OwnCounts(one, 2 * one, 2 * one, 0 * one), np.array([[1.0, 1, 1], [0, 0.5, 0], [2, 2, 2]]))
    encoder = MeasureEncoder([replace(rule, min_denominator=1)], known)
    monkeypatch.setattr(native_measures, "enabled", False)
    nothing, half, again = encoder.encode(hour_of([0], 3, np.arange(3)), ["a", "b", "a"])[1]
    assert b",0,2,0.0," in (nothing or b"")
    assert b",0,2,0.25," in (half or b"")
    assert again == nothing


def taken(encoder: MeasureEncoder, known: Known, hour: MeasuredHour, names: list[str]) -> list[bytes | None]:
    """The values that the extension encodes; None where it leaves one."""
    counts = known.count_blocks(hour.due, hour.tenants)
    return list(ByteRows(one.values for one in native_measures.encode(encoder._native, counts, hour, names)))


def test_all_values_of_small_counts_are_taken_and_equal() -> None:
    """With 6 decimals, down to one millionth, which is written with an exponent."""
    rules = [replace(rule, min_denominator=1) for rule in RULES if METRICS[rule.metric].proportion][:2]
    numerator, denominator = (
        np.arange(4_000.0) % 50,
        np.repeat([1.0, 3, 7, 99, 1_000, 123_457, 10_000_000, 333_333], 500),
    )
    counts = np.stack([np.ones(4_000), numerator, denominator])
    one = np.ones(len(rules), np.int32)
    known = Known(OwnCounts(one, 2 * one, 2 * one, 0 * one), counts)
    encoder, hour = MeasureEncoder(rules, known), hour_of(range(len(rules)), 4_000, np.arange(4_000)[::-1].copy())
    names = [str(number) for number in range(4_000)]
    found = taken(encoder, known, hour, names)
    assert None not in found
    assert b"e-6," in b"".join(one or b"" for one in found)
    assert found == encoder._encode(hour, names)[1]


@pytest.mark.parametrize("number", [10**16, 2**62, -1])
def test_a_tenant_with_a_count_that_is_not_plain_is_left(number: int) -> None:
    one = np.ones(1, np.int32)
    known = Known(OwnCounts(one, 2 * one, 2 * one, 0 * one), np.array([[1.0, 1.0], [number, 2.0], [4.0, 4.0]]))
    encoder = MeasureEncoder(RULES[:1], known)
    left, found = taken(encoder, known, hour_of([0], 2, np.arange(2)), ["a", "b"])
    assert left is None
    assert found is not None


@pytest.mark.parametrize("name", ['"', "\\", "\n", "\x1f"])
def test_a_tenant_whose_id_is_escaped_is_left(name: str) -> None:
    one = np.ones(1, np.int32)
    known = Known(OwnCounts(one, 2 * one, 2 * one, 0 * one), np.ones((3, 2)))
    found = taken(MeasureEncoder(RULES[:1], known), known, hour_of([0], 2, np.arange(2)), ["a" + name, "\x7f企业"])
    assert [one is None for one in found] == [True, False]


def arguments() -> dict[str, Any]:
    """The arguments of the extension, by name."""
    one = np.ones(1, np.int32)
    rules = NativeRules(RuleColumns(RULES[:1], OwnCounts(one, 2 * one, 2 * one, 0 * one)))
    return {
        "rules": rules.columns,
        "width": 3,
        "blocks": [(1, np.ones((2, 4), np.int64))],
        "tenants": 3,
        "due": np.zeros(1, np.int32),
        "skipped": np.zeros((1, 2), np.bool_),
        "memo": np.zeros(4 * 64, np.uint8),
        "names": ["a", "b", "c"],
        "middle": b'","hour_ms":1,"worst":',
        "first": 0,
        "block": np.zeros(4_000, np.uint8),
        "who": np.array([2, 0]),
        "start": np.zeros(2, np.int64),
        "size": np.zeros(2, np.int64),
        "name_size": np.zeros(2, np.int64),
    }


def with_column(number: int, change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda rules: (*rules[:number], change(rules[number]), *rules[number + 1 :])


WRONG: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "fewer counts": ("width", lambda width: 2),
    "no width": ("width", lambda width: 0),
    "a count that is not given": ("blocks", lambda blocks: [(1, np.ones((1, 4), np.int64))]),
    "counts of fewer tenants": ("blocks", lambda blocks: [(1, np.ones((2, 2), np.int64))]),
    "counts beyond": ("blocks", lambda blocks: [(2, np.ones((2, 4), np.int64))]),
    "narrow counts": ("blocks", lambda blocks: [(1, np.ones((2, 4), np.int32))]),
    "a rule beyond": ("due", lambda due: due + 1),
    "a negative rule": ("due", lambda due: due - 1),
    "rules at odd bytes": ("due", lambda due: np.zeros(5, np.uint8)[1:].view(np.int32)),
    "skipped of another size": ("skipped", lambda skipped: skipped[:, :1].copy()),
    "less memory than rules": ("memo", lambda memo: memo[:63]),
    "memory of another size": ("memo", lambda memo: memo[: 3 * 64]),
    "memory at odd bytes": ("memo", lambda memo: memo[1:129]),
    "fewer names": ("names", lambda names: names[:2]),
    "a tenant beyond": ("who", lambda who: who + 1),
    "a negative tenant": ("who", lambda who: who - 1),
    "narrow tenants": ("who", lambda who: who.astype(np.int32)),
    "a negative first": ("first", lambda first: -1),
    "a first beyond": ("first", lambda first: 3),
    "less room for starts": ("start", lambda column: column[:1]),
    "less room for sizes": ("size", lambda column: column[:1]),
    "less room for sizes of names": ("name_size", lambda column: column[:1]),
    "a negative index of a count": ("rules", with_column(0, lambda column: -column)),
    "a text beyond its block": ("rules", with_column(-2, lambda column: column + 1_000_000)),
    "a narrow column": ("rules", with_column(4, lambda column: column.astype(np.float32))),
    "fewer columns": ("rules", lambda rules: rules[1:]),
}


@pytest.mark.parametrize("which", WRONG)
def test_arguments_that_do_not_fit_are_refused(which: str) -> None:
    given, (name, change) = arguments(), WRONG[which]
    assert native_measures._measures.encode(*given.values())[0] == 2
    given[name] = change(given[name])
    with pytest.raises(ValueError, match=r"fit|such|given|expected|fewer|beyond"):
        native_measures._measures.encode(*given.values())


def test_a_name_that_is_no_text_is_refused() -> None:
    with pytest.raises(TypeError):
        native_measures._measures.encode(*(arguments() | {"names": [b"a", b"b", b"c"]}).values())


@pytest.mark.parametrize("room", [0, 100, 1_000])
def test_nothing_is_written_beyond_the_block(room: int) -> None:
    """A record is written only where the longest one of its rules has room."""
    given = arguments()
    memory = np.full(4_000, 7, np.uint8)
    given["block"] = memory[:room]
    after, used = native_measures._measures.encode(*given.values())
    assert used <= room
    assert after == (2 if room == 1_000 else 0)
    assert (memory[room:] == 7).all()
