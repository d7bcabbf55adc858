"""Patterns read hostile text: they find what Python's engine finds, in time that is linear in the text."""

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
    r"(?P<a>\d+)\.(?P<b>\d+)$",
    r"(?s).(?P<a>.{0,3})\Z",
    r"[^\s;]+;(?P<a>\S*)",
    r"x?(?P<a>y)??z",
    r"(?m)^(?P<a>[ab]+)$",
    r"",
]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_finds_what_pythons_engine_finds(pattern: str) -> None:
    seed = random.SystemRandom().randrange(1 << 30)
    dice = random.Random(seed)
    linear, python = LinearPattern(pattern), re.compile(pattern)
    linear._quick = None
    texts = ['SIP;cause=603;text="Network Blocked"', "tel:+86138;ext=1", "NETWORK  blocked", "12.5", ""]
    texts += ["".join(dice.choices('abcdxyz;=0123".: \n', k=dice.randrange(14))) for _ in range(400)]
    for text in texts:
        found = python.search(text)
        expected = None if found is None else {name: found[name] or "" for name in python.groupindex}
        assert linear.search(text) == expected, (seed, pattern, text)
        assert linear.fullmatch(text) is (python.fullmatch(text) is not None), (seed, pattern, text)


@pytest.mark.parametrize("pattern", [r"(?P<a>(x+x+)+y)", r"(?P<a>(x|x)*)y", r"(?P<a>.*)=(.*)=(.*)=(.*)=(.*)=y"])
def test_hostile_text_costs_no_more_steps_than_its_length_allows(pattern: str) -> None:
    class Counting(LinearPattern):
        followed = 0

        def _follow(self, *args):  # type: ignore[no-untyped-def]
            self.followed += 1
            super()._follow(*args)

    linear = Counting(pattern)
    assert linear.search("x=" * MAX_TEXT) is None
    assert linear.followed <= (MAX_TEXT + 1) * len(linear._steps)


def test_a_text_beyond_the_limit_is_cut_or_does_not_match() -> None:
    pattern = LinearPattern("x*(?P<a>y)")
    assert pattern.search("x" * MAX_TEXT + "y") is None
    assert pattern.search("y" + "x" * MAX_TEXT) == {"a": "y"}
    assert not LinearPattern("x*").fullmatch("x" * (MAX_TEXT + 1))


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        ("(", "expected a regular expression"),
        ("(?=a)", "without look-around"),
        (r"(a)\1", "without look-around"),
        ("(?:a{1,2000}){2}", "at most 2,000 steps"),
        ("(" * 200 + ")" * 200, ""),
    ],
)
def test_a_pattern_that_could_cost_more_is_refused(pattern: str, told: str) -> None:
    if not told:
        LinearPattern(pattern)
        return
    with pytest.raises(PatternError, match=told):
        LinearPattern(pattern)
