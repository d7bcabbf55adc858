"""Finds English sentences in a text for Chinese readers."""

import re
from html.parser import HTMLParser

_CODE = re.compile(r"`[^`]*`")
# Two words of two letters or more in a row. One alone may be a name, such as YAML.
_WORDS = re.compile(r"[A-Za-z]{2,}(?:[,;:]? +[A-Za-z]{2,})+")
_SILENT = {"script", "style", "textarea", "pre"}


def english_in(text: str) -> list[str]:
    """The English word groups in a text, except for what stands in code marks."""
    return _WORDS.findall(_CODE.sub("¦", text))


class _Words(HTMLParser):
    """The texts of a page; what is monospaced or isolated is an identifier or the text of a user."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """See HTMLParser."""
        given = dict(attrs)
        self.found += [given[name] or "" for name in ("aria-label", "placeholder", "title", "alt") if name in given]
        if tag in {"br", "hr", "img", "input", "link", "meta"}:
            return
        own = tag in {*_SILENT, "bdi"} or "mono" in (given.get("class") or "").split() or given.get("lang") == "en"
        self.open.append(f"!{tag}" if own else tag)

    def handle_endtag(self, tag: str) -> None:
        """See HTMLParser."""
        while self.open and self.open.pop().removeprefix("!") != tag:
            pass

    def handle_data(self, data: str) -> None:
        """See HTMLParser."""
        if not any(each.startswith("!") for each in self.open):
            self.found.append(data)


def english_on(page: str) -> list[str]:
    """The English word groups on a page, except for identifiers, files and what users wrote."""
    words = _Words()
    words.feed(page)
    return [each for text in words.found for each in english_in(text)]
