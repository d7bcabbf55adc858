"""Hides telephone numbers in text that people read."""

import re

MASK = "•"
_SHOWN = 2

# Between two digits of one number stand at most three of these: white space, dashes, dots, slashes, brackets, and the
# invisible characters with which a number can be split without looking split. A comma is none: it groups thousands.
_SEPARATOR = (
    r"[ \t()（）.\-－/"
    r"\u00a0\u00ad\u034f\u061c\u115f\u1160\u1680\u180e\u2000-\u200f\u2010-\u2015\u202a-\u202f\u205f-\u206f"
    r"\u20e3\u2212\u2800\u3000\u3164\ufe00-\ufe0f\ufeff]"
)
# A calendar date is no telephone number, and reasons and raw records are full of them.
_DATE = r"(?<![0-9])(?<![0-9][-./])(?<!\+)(?:19|20)[0-9]{2}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])(?!\d|[-./]\d)"
_NUMBER = rf"\d(?:{_SEPARATOR}{{0,3}}\d){{6,}}"
_FOUND = re.compile(rf"({_DATE})|{_NUMBER}")
_DIGIT = re.compile(r"\d")


def mask_numbers(text: str) -> str:
    """``text`` with every run of seven or more digits masked but for its last two: ``+86 138-1234-5678`` becomes
    ``+•• •••-••••-••78``.

    A run goes on over a few separators and takes digits of every script. ISO dates (``2026-11-25``) stay. The
    length of the text never changes.
    """
    return _FOUND.sub(_hide, text)


def _hide(found: re.Match[str]) -> str:
    run = found.group()
    if found.group(1):
        return run
    hidden = sum(map(str.isdecimal, run)) - _SHOWN
    return _DIGIT.sub(MASK, run, count=hidden)
