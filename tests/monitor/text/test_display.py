"""How texts, ids and raw records are shown: numbers masked, long texts cut."""

import pytest

from monitor.text.display import DEFAULT, Display


@pytest.mark.parametrize(
    "raw",
    [
        '{"caller":"alice","callee" : "bob","x":1}',
        '{"caller":"alice',
        "{'callee':'alice'}",
        '{"\\u0063aller":"alice"}',
        "caller=alice;callee=bob",
        '{"caller_number":"alice \\"bob\\""}',
    ],
)
def test_a_party_of_any_form_is_hidden_in_a_rejected_line(raw: str) -> None:
    assert "alice" not in DEFAULT.raw(raw)
    assert "bob" not in DEFAULT.raw(raw)


def test_a_number_at_the_cut_is_not_shown_by_halves() -> None:
    assert "1381234" not in DEFAULT.text("x" * 594 + "13812345678")
    assert DEFAULT.text("a" * 700) == "a" * 600 + "… (+100)"
    assert "1381234" not in DEFAULT.raw("y" * 395 + "13812345678" + "z" * 10_000_000)


def test_an_id_is_shown_whole_unless_it_is_a_telephone_number() -> None:
    ours = "0123456789abcdef0123456789abcdef"
    for one in (
        ours,
        f"cwe-{ours}",
        "12345678-1234-1234-1234-123456789abc",
        "1" * 32,
        "call-13812345678",
        "1400000000",
    ):
        assert DEFAULT.id(one) == one
    for one in ("13812345678", "+8613812345678"):
        assert DEFAULT.id(one) != one
        assert Display("none").id(one) == one
    assert Display("all_digits").id("call-13812345678") == "call-•••••••••78"


def test_a_field_of_an_event_has_its_texts_masked_and_its_numbers_as_they_are() -> None:
    value = {"window_ms": 86_400_000, "parts": ["+8613812345678", 13_812_345_678, None, True], "13812345678": 0.5}
    assert DEFAULT.field(value) == (
        '{"window_ms": 86400000, "parts": ["+•••••••••••78", 13812345678, null, true], "•••••••••78": 0.5}'
    )
    assert DEFAULT.field("13812345678", ["13812345678"]) == '"•••••••••78"'
    assert Display("none").field("13812345678", ["13812345678"]) == '"13812345678"'
    assert DEFAULT.field("call 1234567", of_reason=True) == '"call 1234567"'
    assert DEFAULT.field("x" * 50, limit=10) == '"xxxxxxxxx… (+42)'
