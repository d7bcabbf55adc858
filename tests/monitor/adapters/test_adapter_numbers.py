"""Numbers become E.164 where possible, and stay unchanged otherwise."""

import random
import re

import phonenumbers
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from helpers.thorough import examples
from monitor.adapters.values.numbers import NumberWriter, e164


@pytest.mark.parametrize(
    ("text", "region", "expected"),
    [
        ("13800138000", "CN", "+8613800138000"),
        ("008613800138000", "CN", "+8613800138000"),
        ("+8613800138000", "US", "+8613800138000"),
        ("0755-8601 3388", "CN", "+8675586013388"),
        ("8675586013388", "CN", "+8675586013388"),
        ("(212) 555-0123", "US", "+12125550123"),
        ("2125550123", "US", "+12125550123"),
        ("00442071838750", "CN", "+442071838750"),
    ],
)
def test_numbers_become_e164(text: str, region: str, expected: str) -> None:
    assert NumberWriter(region)(text) == expected


@pytest.mark.parametrize(
    ("text", "region", "expected"),
    [
        ("+12125550123;npdi", "US", "+12125550123"),
        ("+12125550123;npdi;rn=+12125550000", "CN", "+12125550123"),
        ("13800138000;phone-context=+86", "CN", "+8613800138000"),
        ("+12125550123;phone-context=sip:x", "US", "+12125550123"),
        ("tel:+12125550123;ext=5", "US", "+12125550123"),
        ("sip:+12125550123;npdi@192.0.2.1:5060;user=phone", "US", "+12125550123"),
        ("sip:%2B12125550123@host", "CN", "+12125550123"),
        ("SIPS:13800138000@host", "CN", "+8613800138000"),
    ],
)
def test_the_number_of_an_address_and_of_its_user_part_is_taken(text: str, region: str, expected: str) -> None:
    assert NumberWriter(region)(text) == expected


@pytest.mark.parametrize(
    ("text", "region"),
    [
        ("sip:alice@host", "US"),
        ("sip:alice;x=1@+12125550123", "US"),
        ("130xxxxxxxx;npdi", "CN"),
        ("alice;npdi", "CN"),
        ("sip:%FF@host", "CN"),
        ("+12125550123;", "US"),
        ("+12125550123;222;npdi", "US"),
        (";npdi", "US"),
        ("000000000", "CN"),
        ("00002212", "DE"),
        ("10086", "CN"),
        ("130xxxxxxxx", "CN"),
        ("0086130xxxxxxxx", "CN"),
        ("8005078317;222", "US"),
        ("2370290", "US"),
        ("0123456789", "US"),
        ("1234567890", "US"),
        ("2121234567", "US"),
        ("__________", "US"),
        ("anonymous", "CN"),
        ("e5398d175f40810f", "CN"),
        ("1" * 300, "CN"),
        ("١٣٨٠٠١٣٨٠٠٠", "CN"),
        ("", "CN"),
        ("+", "CN"),
    ],
)
def test_a_text_that_is_not_a_number_stays_unchanged(text: str, region: str) -> None:
    assert NumberWriter(region)(text) == text


def test_only_what_the_pattern_matches_in_full_is_converted() -> None:
    writer = NumberWriter("US", re.compile("[0-9]{10}"))
    assert writer("2125550123") == "+12125550123"
    assert writer("12125550123") == "12125550123"
    assert writer("212-555-0123") == "212-555-0123"


@examples(st.from_regex("[0-9]{10}", fullmatch=True), fast=125, most=500)
def test_the_quick_way_for_the_us_agrees_with_the_library(text: str) -> None:
    assert NumberWriter("US")(text) == e164(text, "US")


@settings(max_examples=300)
@example("+0;X", "CN")
@given(st.text("0123456789+- ()xX;", max_size=24), st.sampled_from(["CN", "US", "IL", "DE"]))
def test_a_number_once_written_stays_so(text: str, region: str) -> None:
    once = e164(text, region)
    assert e164(once, region) == once
    if once != text:
        assert phonenumbers.is_possible_number(phonenumbers.parse(once, None))


@pytest.mark.parametrize("region", ["CN", "US", "GB", "+"])
def test_numbers_whose_form_is_known_are_as_the_library_writes_them(region: str) -> None:
    rng = random.Random(4)
    write = NumberWriter(region)
    for _ in range(1_500):
        digits = "".join(rng.choices("0123456789", k=9))
        text = rng.choice(("+861", "1", "+1", "+86", "861", "+1" + rng.choice("23456789"), "17", "+8617")) + digits
        text = text[: rng.choice((11, 12, 13, 14))]
        assert write(text) == e164(text, region), text
