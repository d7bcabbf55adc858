"""A message as chat text: Chinese, then English. Nothing from a record acts as markup."""

import re
from bisect import bisect_right
from itertools import accumulate
from typing import Final

import orjson

from streams.consumers.notify.messages.message import Message

# Text from records could hide a link, a picture or a mention; these replacements look alike and have no effect.
_ACTIVE: Final = str.maketrans("<>[]`*|~@#", "＜＞［］｀＊｜～＠＃")
# Characters that end a line, after which markup could start, and those that reorder the displayed text.
_UNSEEN: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]+")
# Chat programs turn anything that looks like a link into one: schemes, host names, IP addresses.
_SCHEME: Final = re.compile(
    r"(?<=\w):(?=//)|(?i:(?<=\bmailto)|(?<=\btel)|(?<=\bsms)|(?<=\bdata)|(?<=\bjavascript)):(?=\S)"
)
# What no label of a host name ends with: it may end with a combining accent, or an emoji.
_PUNCTUATION: Final = (
    r"\s!-,./:-@\[-^`{-~\u2010-\u205e\u3000-\u303f\uff01-\uff0c\uff0e\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65"
)
_DOT: Final = re.compile(rf"(?<=[^{_PUNCTUATION}])[.．。｡](?=[^\W\d_])|(?<=\d)\.(?=\d{{1,3}}\.\d{{1,3}}\.\d)")


def plain(text: str) -> str:
    """``text`` without active markup of DingTalk, Feishu and WeCom, and without links or mentions.

    Dots and colons that would make a link are put in brackets, as is usual for hostile addresses.
    """
    text = _UNSEEN.sub(" ", text).translate(_ACTIVE)
    return _DOT.sub(_bracketed, _SCHEME.sub(_bracketed, text))


def _bracketed(found: re.Match[str]) -> str:
    return f"［{found[0]}］"


def halves(message: Message) -> tuple[list[str], list[str]]:
    """The lines below the title, in Chinese and in English."""
    both = [*message.lines, *(item.text for item in message.items)]
    return [plain(line.zh) for line in both], [plain(line.en) for line in both]


def markdown(message: Message, page: str | None, most: int) -> str:
    """The message in the markdown of DingTalk and WeCom, at most ``most`` bytes in JSON. ``page``: what it links."""
    zh, en = halves(message)
    tail = f"\n\n[详情 Details]({page})" if page else ""
    room = (most - _json_size(tail)) // 2 - 2
    first = clipped([f"### {plain(message.title.zh)}", *zh], room)
    return f"{first}\n\n{clipped([f'**{plain(message.title.en)}**', *en], room)}{tail}"


def clipped(lines: list[str], most: int) -> str:
    """The lines as paragraphs, at most ``most`` bytes as they are in JSON, which escapes quotes, backslashes and line
    ends; an ellipsis marks a cut."""
    text = "\n\n".join(lines)
    if _json_size(text) <= most:
        return text
    ends = list(accumulate(map(_json_size, text)))
    return text[: bisect_right(ends, most - _json_size("…"))] + "…"


def _json_size(text: str) -> int:
    return len(orjson.dumps(text)) - 2  # without its quotes
