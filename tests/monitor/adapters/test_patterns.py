"""Patterns match hostile text like Python's engine, in time that is linear in the text."""

import random
import re

import pytest

from monitor.adapters.values.patterns import MAX_TEXT, LinearPattern, PatternError

PATTERNS = [
    r"cause=(?P<a>[0-9]+)",
    r'(?P<proto>[^;]+);cause=(?P<a>[0-9]+)(?:;text="(?P<b>[^"]*)")?',
    r"(?i)network\s+blocked",
    r"(?P<a>a|ab)(?P<b>c|bcd)(?P<d>d*)",
    r"(?P<a>a*?)(?P<b>a*)b",
    r"^(?:tel|sips?):(?P<a>[^@;]+)",
    r"\b(?P<a>\w{2,3})\b",
    r"(?P<a>[a-c]{1,2})+?x",
    r"(a|b)*?(?P<a>c)",
    r"(?P<a>\d+)\.(?P<b>\d+)\z",
    r"(?s).(?P<a>.{0,3})\z",
    r"[^\s;]+;(?P<a>\S*)",
    r"x?(?P<a>y)??z",
    r"(?m)^(?P<a>[ab]+)$",
    r"",
]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_finds_what_pythons_engine_finds(pattern: str) -> None:
    seed = random.SystemRandom().randrange(1 << 30)
    dice = random.Random(seed)
    linear, python = LinearPattern(pattern), re.compile(pattern.replace(r"\z", r"\Z"))
    texts = ['SIP;cause=603;text="Network Blocked"', "tel:+86138;ext=1", "NETWORK  blocked", "12.5", ""]
    texts += ["".join(dice.choices('abcdxyz;=0123".: \n', k=dice.randrange(14))) for _ in range(400)]
    for text in texts:
        found = python.search(text)
        expected = None if found is None else {name: found[name] or "" for name in python.groupindex}
        assert linear.search(text) == expected, (seed, pattern, text)
        assert linear.fullmatch(text) is (python.fullmatch(text) is not None), (seed, pattern, text)


@pytest.mark.parametrize("pattern", [r"(?P<a>(x+x+)+y)", r"(?P<a>(x|x)*)y", r"(?P<a>.*)=(.*)=(.*)=(.*)=(.*)=y"])
def test_hostile_text_is_searched_to_its_end(pattern: str) -> None:
    """Python's engine would need longer than the age of the universe for the first two."""
    assert LinearPattern(pattern).search("x=" * MAX_TEXT) is None
    assert LinearPattern(pattern).search("x" * MAX_TEXT) is None


def test_a_lone_surrogate_stops_nothing() -> None:
    assert LinearPattern("(?P<a>[0-9]+)").search("\ud8007") == {"a": "7"}
    assert not LinearPattern("a").fullmatch("\ud800")


def test_a_text_beyond_the_limit_is_cut_or_does_not_match() -> None:
    pattern = LinearPattern("x*(?P<a>y)")
    assert pattern.search("x" * MAX_TEXT + "y") is None
    assert pattern.search("y" + "x" * MAX_TEXT) == {"a": "y"}
    assert not LinearPattern("x*").fullmatch("x" * (MAX_TEXT + 1))


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("(", r"missing \)"),
        ("(?=a)", r"invalid perl operator: \(\?="),
        (r"(a)\1", r"invalid escape sequence: \\1"),
        ("(?:a{1,900}){900}", "invalid repetition size"),
        ("a\ud800", "surrogates not allowed"),
    ],
)
def test_a_pattern_that_could_cost_more_is_refused(pattern: str, reason: str) -> None:
    with pytest.raises(PatternError, match=f"expected a regular expression in the syntax of RE2: .*{reason}"):
        LinearPattern(pattern)
