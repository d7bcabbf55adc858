"""The tokens of the style sheet: each text is readable on each background that it stands on, in both schemes."""

import re

import pytest

from monitor.theme import THEME_CSS

_TOKEN = re.compile(r"--([a-z-]+): (?:light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)|(#[0-9a-f]{6}));")
TOKENS = {found[1]: (found[2] or found[4], found[3] or found[4]) for found in _TOKEN.finditer(THEME_CSS)}

ON_SURFACES = ("ink", "dim", "accent", "minor", "major", "severe", "ok")
PAIRS = [
    *((text, surface) for text in ON_SURFACES for surface in ("bg", "card", "soft")),
    *((name, f"{name}-bg") for name in ("accent", "minor", "major", "severe", "none", "ok")),
    *(("on-fill", fill) for fill in ("fill", "severe-fill", "major-fill")),
]


def luminance(colour: str) -> float:
    """The relative luminance of WCAG 2.2."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """The contrast ratio of WCAG 2.2, from 1 to 21."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(("text", "surface"), PAIRS)
def test_a_text_has_contrast_on_its_surface(text: str, surface: str) -> None:
    for scheme in (0, 1):
        assert contrast(TOKENS[text][scheme], TOKENS[surface][scheme]) >= 4.5


@pytest.mark.parametrize("surface", ["bg", "card"])
def test_the_edge_of_a_field_is_visible(surface: str) -> None:
    """WCAG 2.2, 1.4.11: 3:1 for what shows where a field is."""
    for scheme in (0, 1):
        assert contrast(TOKENS["edge"][scheme], TOKENS[surface][scheme]) >= 3


def test_the_sheet_refers_to_no_other_file() -> None:
    assert "url(" not in THEME_CSS
    assert "@import" not in THEME_CSS
