import random

import pytest

from monitor.text.masking import MASK, mask_text


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("+8613812345678", "+•••••••••••78"),
        ("+86 138-1234-5678", "+•• •••-••••-••78"),
        ("(0755) 8376 5566", "(••••) •••• ••66"),
        ("138.1234.5678", "•••.••••.••78"),
        ("138·1234·5678", "•••·••••·••78"),
        ("138・1234・5678", "•••・••••・••78"),
        ("030/1234567", "•••/•••••67"),
        ("call13812345678now", "call•••••••••78now"),
        ("5551234", "•••••34"),
        ("１３８１２３４５６７８", "•••••••••７８"),
        ("138\u200b1234\u202e5678", "•••\u200b••••\u202e••78"),
        ("1\ufe0f\u20e33812345678", "•\ufe0f\u20e3••••••••78"),
        ("13812345678,13987654321", "•••••••••78,•••••••••21"),
        ("13812345678,12", "•••••••••••,12"),
        ("138,1234,5678", "•••,••••,••78"),
        ("138，1234，5678", "•••，••••，••78"),
        ("138_1234_5678", "•••_••••_••78"),
        ("+86,138-1234,5678", "+••,•••-••••,••78"),
        ("13,812,345,678", "••,•••,•••,•78"),
        ("138,123,45678", "•••,•••,•••78"),
        ("138,123 45678", "•••,••• •••78"),
        ("①③⑧①②③④⑤⑥⑦⑧", "•••••••••⑦⑧"),
        ("1③8 ①234 ❺⁶₇⒏", "••• •••• ••₇⒏"),
        ("一三八一二三四五六七八", "•••••••••七八"),
    ],
)
def test_no_number_is_shown_in_clear(text: str, masked: str) -> None:
    assert mask_text(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "",
        "555123",
        "1,031,456 / 2,000,000",
        "200 / 1,031 = 19.4 %",
        "1,031,456.78",
        "9,031,456,123 calls",
        "12,345",
        "第一二三条，三四五",
        "200 of 1,031,456 answered calls lasted at most 6 s: 19.4 %, surely above 15 %",
        "2026-11-25",
        "from 2026-11-25 01:56 to 2026-11-26 01:56",
        "2026-11-25T01:56:00Z",
        "0000-00-00 00:00:00",
        "条款 6，近 30 天 3 次",
    ],
)
def test_text_without_a_number_stays_readable(text: str) -> None:
    assert mask_text(text) == text


@pytest.mark.parametrize(
    "text", ["+2010-12-3145", "86-2010-12-31", "2010-12-31-44", "2010-12-314", "0755-0000-00-00", "0000-00-001"]
)
def test_a_number_that_looks_like_a_date_is_still_hidden(text: str) -> None:
    assert MASK in mask_text(text)


def test_random_numbers_leave_exactly_two_digits() -> None:
    seed = 20261125
    print("seed", seed)
    rng = random.Random(seed)
    for _ in range(2_000):
        digits = "".join(rng.choice("0123456789") for _ in range(rng.randint(7, 20)))
        dressed = digits[0] + "".join(rng.choice(["", "", "", " ", "-", ") ", " - "]) + d for d in digits[1:])
        masked = mask_text(f"x{dressed}y")
        assert "".join(filter(str.isdigit, masked)) == digits[-2:]
        assert len(masked) == len(dressed) + 2


def test_random_numbers_in_any_dress_leave_exactly_two_digits() -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    rng = random.Random(seed)
    circled = str.maketrans("123456789", "①②③④⑤⑥⑦⑧⑨")
    for _ in range(2_000):
        digits = "".join(rng.choice("0123456789") for _ in range(rng.randint(11, 15)))
        groups, at = [], 0
        while at < len(digits):
            size = rng.choice((2, 4, 5))
            groups.append(digits[at : at + size])
            at += size
        dressed = rng.choice((",", "_", "，", "-", " ")).join(groups)
        if rng.random() < 0.3:
            dressed = dressed.translate(circled)
        masked = mask_text(f"x{dressed}y")
        assert sum(c.isdigit() for c in masked) == 2, (dressed, masked)


def test_a_long_hostile_text_is_masked_in_linear_time() -> None:
    text = ("1 - " * 5 + "x") * 20_000
    assert mask_text(text) == text
