"""Masks telephone numbers in text for people, and escapes characters that would act on a terminal."""

import re

MASK = "•"
_SHOWN = 2
_LEAST = 7

# Decimal digits of every script, those in circles, brackets, with a full stop, raised and lowered; and Chinese ones,
# which form a number only without separators.
_DIGITS = (
    r"\d\u00b2\u00b3\u00b9\u2070\u2074-\u2079\u2080-\u2089\u2460-\u249b\u24ea-\u24ff\u2776-\u2793\U0001f100-\U0001f10a"
)
_CHINESE = r"[零〇一二三四五六七八九两幺壹贰叁肆伍陆柒捌玖]"
# Two digits of one number may have up to three of these in between: white space, dashes, dots, slashes, brackets,
# underscores, and the invisible characters that split a number without showing it.
_SEPARATOR = (
    r"[ \t()（）.\-－/_＿"
    r"\u00a0\u00ad\u034f\u061c\u115f\u1160\u1680\u180e\u2000-\u200f\u2010-\u2015\u202a-\u202f\u205f-\u206f"
    r"\u20e3\u2212\u2800\u3000\u3164\ufe00-\ufe0f\ufeff]"
)
_COMMA = "[,，]"
# A calendar date is not a telephone number; reasons and raw records contain many.
_DATE = r"(?<![0-9])(?<![0-9][-./])(?<!\+)(?:19|20)[0-9]{2}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])(?!\d|[-./]\d)"
# Nor is a count with grouped thousands, up to ten digits.
_COUNT = (
    r"(?<![0-9+])(?<![0-9][,，._\-])[0-9]{1,3}(?:,[0-9]{3}){1,2}(?:\.[0-9]{1,4}(?!\d))?(?![,，_]?\d|[-.\s]{1,3}\d)"
    r"|(?<![0-9+])(?<![0-9][,，._\-])[0-9](?:,[0-9]{3}){3}(?![,，_]?\d|[-.\s]{1,3}\d)"
)
# A share is shown as "200 / 1,031": a number with grouped thousands after such a slash is a number of its own.
_NUMBER = rf"[{_DIGITS}](?:(?! / (?:{_COUNT}))(?:{_SEPARATOR}{{0,3}}|{_COMMA})[{_DIGITS}]){{6,}}|{_CHINESE}{{7,}}"
_FOUND = re.compile(rf"({_DATE}|{_COUNT})|{_NUMBER}")
_DIGIT = re.compile(rf"[{_DIGITS}]|{_CHINESE}")
_LINES = re.compile("([\n\t])")
_LISTED = re.compile(rf"({_COMMA})")

# Control characters, and those that reorder or hide their neighbours: shown as their code.
_ACTIVE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u115f\u1160\u180e\u200b-\u200f\u2028-\u202f\u2060-\u206f\u3164\ufeff"
    "\ufff9-\uffff\ud800-\udfff\U000e0000-\U000e0fff]"
)


def mask_numbers(text: str) -> str:
    """``text`` with every run of seven or more digits masked except its last two: ``+86 138-1234-5678`` becomes
    ``+•• •••-••••-••78``.

    A run continues over a few separators and includes digits of every script, circled ones too. A comma joins digits
    unless it groups thousands (``1,031,456`` is kept); it separates numbers that are complete without it. ISO dates
    (``2026-11-25``) are kept. The length of the text never changes.
    """
    return _FOUND.sub(_hide, text)


def visible(text: str) -> str:
    """``text`` with its control, reordering and invisible characters escaped as ``\\u202e``."""
    return _ACTIVE.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def visible_lines(text: str) -> str:
    """`visible`, but line ends and tabs are kept."""
    return "".join(part if part in "\n\t" else visible(part) for part in _LINES.split(text))


def _hide(found: re.Match[str]) -> str:
    run = found.group()
    if found.group(1):
        return run
    parts = _LISTED.split(run)
    if sum(_count(part) >= _LEAST for part in parts) < 2:
        return _hidden(run, _SHOWN)
    return "".join(_hidden(part, _SHOWN if _count(part) >= _LEAST else 0) for part in parts)


def _count(run: str) -> int:
    return len(_DIGIT.findall(run))


def _hidden(run: str, shown: int) -> str:
    hidden = _count(run) - shown
    return _DIGIT.sub(MASK, run, count=hidden) if hidden > 0 else run
