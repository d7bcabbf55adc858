"""Masks telephone numbers in text for people, and escapes characters that would act on a terminal.

A field that holds a number is masked by `mask_number`, free text by `mask_text`, an id by `mask_id`.
"""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Iterable
from typing import Final, Literal

MaskIds = Literal["telephone_numbers", "none", "all_digits"]
"""Which ids are masked: those that are telephone numbers, none, or in every id seven or more digits in a row."""

MASK = "•"
_SHOWN = 2
_LEAST = 7

# Decimal digits of every script, those in circles, brackets, with a full stop, raised and lowered; and Chinese ones,
# which form a number only without separators.
_DIGITS = (
    r"\d\u00b2\u00b3\u00b9\u2070\u2074-\u2079\u2080-\u2089\u2460-\u249b\u24ea-\u24ff\u2776-\u2793\U0001f100-\U0001f10a"
)
_CHINESE = r"[零〇一二三四五六七八九两幺壹贰叁肆伍陆柒捌玖]"
# Two digits of one number may have up to three of these in between: white space, dashes, dots (middle ones, too),
# slashes, brackets, underscores, and the invisible characters that split a number without showing it.
_SEPARATOR = (
    r"[ \t()（）.\-－/_＿"
    r"\u00a0\u00ad\u034f\u061c\u115f\u1160\u1680\u180e\u2000-\u200f\u2010-\u2015\u202a-\u202f\u205f-\u206f"
    r"\u00b7\u2027\u2219\u22c5\u30fb\uff65"
    r"\u20e3\u2212\u2800\u3000\u3164\ufe00-\ufe0f\ufeff]"
)
_COMMA = "[,，]"
# A calendar date is not a telephone number; reasons and raw records contain many. Nor is the zero date of a database.
_DATE = (
    r"(?<![0-9])(?<![0-9][-./])(?<!\+)(?:(?:19|20)[0-9]{2}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])|0000-00-00)"
    r"(?!\d|[-./]\d)"
)
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


# An id that is a telephone number: `+` and 8 to 15 digits, or a mainland mobile number. Of its separators only those of
# its usual groups are allowed, since a uniqueid of Asterisk (`1700000000.1`) has eleven digits, too.
_INTERNATIONAL = re.compile(rf"[+＋]{_SEPARATOR}{{0,3}}[{_DIGITS}](?:{_SEPARATOR}{{0,3}}[{_DIGITS}])*")
_MOBILE = re.compile(rf"[{_DIGITS}]{{3}}{_SEPARATOR}{{0,3}}[{_DIGITS}]{{4}}{_SEPARATOR}{{0,3}}[{_DIGITS}]{{4}}")
_PUNCTUATION: Final = frozenset("+-() ./")  # of a number, as it is written
_MOST_DIGITS: Final = 15  # of a telephone number (E.164)
_ROW = re.compile(rf"[{_DIGITS}]{{{_LEAST},}}|{_CHINESE}{{{_LEAST},}}")
# Digits in a text that could be read as one number.
_RUN = re.compile(rf"[{_DIGITS}](?:(?:{_SEPARATOR}{{0,3}}|{_COMMA})[{_DIGITS}])*")
# A mainland mobile number, with or without the country before it: in its usual groups, and several of them as digits.
_CALLED = re.compile(
    rf"(?<![0-9])(?:0{{0,2}}86{_SEPARATOR}{{0,3}})?1[3-9][0-9]{_SEPARATOR}{{0,3}}[0-9]{{4}}{_SEPARATOR}{{0,3}}[0-9]{{4}}"
    r"(?![0-9])"
)
_COMPLETE = re.compile(r"(?:(?:0{0,2}86)?1[3-9][0-9]{9})+")
_PLUS = re.compile(rf"[+＋]{_SEPARATOR}{{0,3}}$")
_ONLY_A_NUMBER = re.compile(rf"[+＋]?(?:[{_DIGITS}]|{_SEPARATOR}|{_COMMA})*")
# Ids that are recognised in any text by their form: UUIDs, the ids of Twilio and of our own records, hashes.
_BY_FORM = re.compile(
    r"(?<![0-9A-Za-z_+-])(?:(?=[0-9a-fA-F-]*[a-fA-F])[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"
    r"|[A-Z]{2}[0-9a-f]{32}|cw[a-z]-(?=[0-9a-f]*[a-f])[0-9a-f]{24,64}"
    r"|(?=[0-9a-f]*[a-f])(?:[0-9a-f]{64}|[0-9a-f]{40}|[0-9a-f]{32}))(?![0-9A-Za-z_-])"
)


def mask_number(number: str) -> str:
    """A field that holds a telephone number or a pseudonym: all hidden but separators and the last two characters, and
    these, too, if it has at most four."""
    shown = number[-2:] if len(number) > 4 else ""
    return "".join(c if c in _PUNCTUATION else MASK for c in number[: len(number) - len(shown)]) + shown


def mask_id(identifier: str, mask_ids: MaskIds = "telephone_numbers") -> str:
    """An id as it is, unless ``mask_ids`` says that it is masked: then all of its digits except the last two, or of
    each seven or more digits in a row. The same id always gives the same text."""
    if mask_ids == "none":
        return identifier
    if is_telephone_number(identifier):
        return _hidden(identifier, _SHOWN)
    return _ROW.sub(lambda row: _hidden(row.group(), _SHOWN), identifier) if mask_ids == "all_digits" else identifier


def is_telephone_number(identifier: str) -> bool:
    """Whether the text is `+` and 8 to 15 digits, or a mainland mobile number of 11 digits beginning 13 to 19, in
    digits of any script, with or without separators between its groups."""
    text = identifier
    if not (text.isascii() and text.isprintable()):  # most ids are, and so have none of these characters
        text = "".join(c for c in text if unicodedata.category(c) not in ("Cc", "Cf", "Mn", "Me"))
    text = text.strip()
    if _INTERNATIONAL.fullmatch(text):
        return _LEAST < _count(text) <= _MOST_DIGITS
    if not _MOBILE.fullmatch(text):
        return False
    first, second = _DIGIT.findall(text)[:2]
    return unicodedata.digit(first, 0) == 1 and unicodedata.digit(second, 0) >= 3


def mask_text(text: str, ids: Iterable[str] = (), mask_ids: MaskIds = "telephone_numbers") -> str:
    """Free text with every run of seven or more digits masked except its last two: ``+86 138-1234-5678`` becomes
    ``+•• •••-••••-••78``.

    A run continues over a few separators and includes digits of every script, circled ones too. A comma joins digits
    unless it groups thousands (``1,031,456`` is kept); it separates numbers that are complete without it. ISO dates
    (``2026-11-25``, ``0000-00-00``) are kept. The length of the text never changes.

    Where the text repeats one of ``ids``, or an id recognised by its form (a UUID), that is shown as by `mask_id`.
    An id that may be a part of a longer number is masked with it, so that no choice of ids reveals a number.
    """
    return _masked(text, ids, mask_ids, _hide)


def mask_reason(text: str, ids: Iterable[str] = (), mask_ids: MaskIds = "telephone_numbers") -> str:
    """The reason of a decision or an alert, whose texts were masked when it was made: what has as many digits as a
    number is an id, perhaps of a record that the event does not name. It is shown, unless ``mask_ids`` is
    ``all_digits`` or it has the form of a telephone number: a `+` or a 0 before it, or a mainland mobile number.
    """
    return _masked(text, ids, mask_ids, _hide if mask_ids == "all_digits" else _hide_telephone_number)


def _masked(text: str, ids: Iterable[str], mask_ids: MaskIds, hide: Callable[[re.Match[str]], str]) -> str:
    if not _FOUND.search(text):
        return text
    shown, at = [], 0
    for start, end in _repeated(text, ids):
        shown += [_FOUND.sub(hide, text[at:start]), mask_id(text[start:end], mask_ids)]
        at = end
    return "".join(shown) + _FOUND.sub(hide, text[at:])


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


def _hide_telephone_number(found: re.Match[str]) -> str:
    run, before = found.group(), found.string[max(0, found.start() - 4) : found.start()]
    marked = not run.isascii() or run.startswith("0") or _PLUS.search(before)
    return _hide(found) if marked or _CALLED.search(run) else run


def _count(run: str) -> int:
    return len(_DIGIT.findall(run))


def _hidden(run: str, shown: int) -> str:
    hidden = _count(run) - shown
    return _DIGIT.sub(MASK, run, count=hidden) if hidden > 0 else run


def _repeated(text: str, ids: Iterable[str]) -> list[tuple[int, int]]:
    """Where the text has these ids, and ids by their form: start and end, in order, without overlaps."""
    spans = [found.span() for found in _BY_FORM.finditer(text)]
    named = sorted({each for each in ids if _DIGIT.search(each)}, key=lambda each: (-len(each), each))
    if not named:
        return spans
    runs = [found.span() for found in _RUN.finditer(text)]
    starts, taken = [start for start, _ in runs], bytearray(len(text))
    for start, end in spans:
        taken[start:end] = b"\1" * (end - start)
    for each in named:
        if _ONLY_A_NUMBER.fullmatch(each) and _count(each) < _LEAST:
            continue  # too short to be masked by itself, and perhaps a fragment of a number
        start = text.find(each)
        while start >= 0:
            end = start + len(each)
            if taken.find(1, start, end) < 0 and _stands_alone(text, start, end, runs, starts):
                taken[start:end] = b"\1" * len(each)
                spans.append((start, end))
            start = text.find(each, end)
    return sorted(spans)


def _stands_alone(text: str, start: int, end: int, runs: list[tuple[int, int]], starts: list[int]) -> bool:
    """Whether what the text has there is an id, and not a part of a word or of a longer number."""
    if (start and _adjoins(text[start - 1], text[start])) or (end < len(text) and _adjoins(text[end], text[end - 1])):
        return False
    if _DIGIT.match(text[start]) and _PLUS.search(text[max(0, start - 4) : start]):
        return False
    for edge in (start, end):
        first, last = runs[at] if (at := bisect_right(starts, edge) - 1) >= 0 else (edge, edge)
        if not first < edge < last:
            continue
        # Digits on both sides of the edge could be read as one number.
        mine, rest = text[max(first, start) : min(last, end)], text[edge:last] if edge == end else text[first:edge]
        if _count(text[first:last]) >= _LEAST and not _apart(mine, rest):
            return False
    return True


def _apart(mine: str, rest: str) -> bool:
    """Whether the digits of an id and the ``rest`` beside it are two numbers: the rest is complete as it is, or each
    has the digits of a number, and both together more than one number has."""
    if _COMPLETE.fullmatch("".join(_DIGIT.findall(rest))):
        return True
    return bool(_ROW.search(mine)) and _count(rest) >= _LEAST and _count(mine) + _count(rest) > _MOST_DIGITS


def _adjoins(neighbour: str, edge: str) -> bool:
    """Whether a character continues the word or the number at whose edge it stands. Chinese is written without spaces,
    so its characters do not."""
    if re.match(rf"[{_DIGITS}]", neighbour):
        return True
    if _DIGIT.match(neighbour):
        return _DIGIT.match(edge) is not None
    return neighbour == "_" or (neighbour.isalnum() and (ord(neighbour) < 0x2E80 or "！" <= neighbour <= "～"))
