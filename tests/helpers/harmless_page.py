"""A page as a browser reads it, and what a hostile text has done to it."""

from html.parser import HTMLParser
from typing import Final
from urllib.parse import unquote

import httpx

OWN_FIELDS: Final = frozenset(
    {
        "/policy/drafts/{draft_id}", "/search", "/admin/actions", "/sign-in", "/policy/exceptions/edit", "/admin/users",
        "/admin/reasons", "/admin/reasons/{number}",
    }
)  # fmt: skip
"""Routes whose fields show what the reader has written: its draft, its filter, a form that was refused."""
FIELDS: Final = (
    "ids", "to", "until", "verdict", "reason", "kind", "text", "case_id", "answer", "note", "base", "title", "revision",
    "sha256", "when", "from", "seen", "name", "password", "repeated", "current", "code", "session", "token", "days",
    "subject", "change", "zh", "en", "format", "draft", "source", "tenant", "tenants", "rule", "rules", "owner", "do",
    "expires", "at", "next",
)  # fmt: skip


class Page(HTMLParser):
    """What a page shows: its texts and attributes; apart the values of its fields, and what a text made of it."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.fields: list[str] = []
        self.acts: list[str] = []
        self._inside = ""
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag
        self.acts += [f"<{tag}>"] if tag in ("img", "iframe") else []
        for name, value in attrs:
            self.acts += [f"<{tag} {name}>"] if name.startswith("on") or (value or "").startswith("javascript:") else []
            kept = self.fields if name == "value" else self.texts
            # A control character changes the order of what is read, and no attribute is read but in a field.
            kept.append((value or "").replace("\u202e", ""))

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        (self.fields if self._inside == "textarea" else self.texts).append(data)


def harm_of(answer: httpx.Response, own_fields: bool) -> list[str]:
    """What an answer does that no text may make it do. ``own_fields``: its fields show what the reader has written."""
    headers = " ".join(f"{name}: {unquote(value)}" for name, value in answer.headers.items())
    found = [f"status {answer.status_code}"] if answer.status_code >= 500 else []
    if "attachment" in answer.headers.get("content-disposition", "") and "case-" in headers:
        return found  # the records as they were written, whole: `ledger verify --case` compares them
    if answer.headers.get("content-type", "").startswith("text/html"):
        page = Page(answer.text)
        shown = " ".join(page.texts + ([] if own_fields else page.fields))
        found += page.acts + (["a control character in the page"] if "\u202e" in shown else [])
    else:
        shown = answer.text
    found += [f"a number in {where}" for where, text in (("a header", headers), ("it", shown)) if "12345678" in text]
    return found
