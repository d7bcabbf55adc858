"""JSON is parsed by a separate reader, whose results must equal those of the YAML reader."""

import json
import random
from typing import Any

import pytest
from ruamel.yaml.error import YAMLError

from helpers.thorough import thorough
from monitor.policy.file.errors import PolicyFault
from monitor.policy.file.yaml_source import _compose, _json_for_yaml, _json_tree
from monitor.policy.load import load, to_plain

WORDS = (
    *("", "a", "22:30", "no", "~", "null", "true", "1", "0x1F", "1_000", ".5", "- a", "# a", "a: b", "&a", "*a", "<<"),
    *("{", "]", "'", '"', "\\", "/", "\n", "\t", "\r\n", "\x00", "\x7f", "\x85", "\u2028", "\ufeff", "\uffff"),
    *("\U0001f600", "外呼", "---", "...", "%YAML", "?", "!", "!!str", "key " * 250, "k" * 1_100),
)  # fmt: skip
NUMBERS = (0, -0.0, 1, -1, 1.5, 1e300, 1e-7, 10**39, 10**50, float("nan"), float("inf"), -float("inf"))


def made(rng: random.Random, depth: int) -> Any:
    kind = rng.random()
    if depth and kind < 0.3:
        return {rng.choice(WORDS): made(rng, depth - 1) for _ in range(rng.randrange(5))}
    if depth and kind < 0.5:
        return [made(rng, depth - 1) for _ in range(rng.randrange(5))]
    return rng.choice((*WORDS, *NUMBERS, True, False, None))


def written(rng: random.Random, data: Any) -> str:
    """As JSON in one of its forms, sometimes with white space in odd places, or with a repeated key."""
    separators = rng.choice(((", ", ": "), (",", ":"), (" ,", " :"), (" , ", " : "), (",\n", ":\n"), (",\r", ": \r\n")))
    indent = rng.choice((None, None, 0, 1, 2, "\t"))
    text = json.dumps(data, ensure_ascii=rng.random() < 0.5, indent=indent, separators=separators)
    text = rng.choice(("", "", " ", "\n\n  ", "\t", "\r")) + text + rng.choice(("", "\n", " \r\n", "\t"))
    return text.replace('"a"', rng.choice(('"a"', '"\\u0061"', '"b"', '"\\/"'))) if rng.random() < 0.2 else text


def both(text: str) -> tuple[str | None, str | None]:
    """The results of both readers: nodes with their marks, and errors. None: nothing."""
    text = _json_for_yaml(text)
    ours, theirs = list[PolicyFault](), list[PolicyFault]()
    quick = _json_tree(text, "p", ours)
    try:
        slow = _compose(text, "p", theirs)
    except YAMLError:
        slow = None
    return quick and repr((quick, ours)), slow and repr((slow, theirs))


def test_they_come_to_the_same() -> None:
    rng = random.Random(1)
    taken = 0
    for _ in range(400):
        text = written(rng, rng.choice(([made(rng, 4)], {"a": made(rng, 4), "b": 1})))
        quick, slow = both(text)
        assert quick in (None, slow), text
        taken += quick is not None
    assert taken > 200


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1, "a": 2}',
        '{"a": "\\ud83d", "b": "\\ude00\\ud83d", "c": "\\ud83d\\ude00"}',
        '{"a": 1}',
        '[[1, -2.5E+3], {"a":{"b":[true,false,null]}}]',
    ],
)
def test_faults_and_marks_are_the_same(text: str) -> None:
    quick, slow = both(text)
    assert quick == slow


@pytest.mark.parametrize(
    "text",
    [
        "a: 1",
        '{"a": 1',
        "{a: 1}",
        '{"a"\n: 1}',
        '{"' + "k" * 1_001 + '": 1}',
        "[" * 33 + "]" * 33,
        "[" * 100_000,
        '["\ud83d"]',
    ],
)
def test_text_that_is_not_json_or_means_something_else_in_yaml_is_left_to_yaml(text: str) -> None:
    assert _json_tree(text, "p", []) is None


@pytest.mark.parametrize(
    ("ensure_ascii", "indent"),
    thorough(
        [(escaped, indent) for escaped in (True, False) for indent in (None, 2, "\t")], [(True, 2), (False, None)]
    ),
)
def test_a_policy_is_read_by_it(indent: int | str | None, ensure_ascii: bool) -> None:
    quick, slow = both(json.dumps(to_plain(load(None)), indent=indent, ensure_ascii=ensure_ascii))
    assert quick == slow
    assert quick is not None
