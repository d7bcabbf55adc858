"""The catalogue of texts: every key is in both languages, is used, and every used key exists."""

import re
import string
from pathlib import Path

import pytest

from monitor.text.bilingual import Bilingual
from streams.console.pages.texts import TextFault, catalogue, preferred, text

CONSOLE = Path(__file__).parents[4] / "streams" / "console"
# t("queue.title" or text(lang, "queue.title"; a key that ends with a dot has its end computed.
_USED = re.compile(r"""["']([a-z][a-z_]*(?:\.[a-z0-9_]+)+\.?)["']""")
AREAS = {file.stem for file in (CONSOLE / "texts").glob("*.yaml")}


def used() -> set[str]:
    """Every string of a template or module that has the form of a key and begins with the name of an area."""
    found: set[str] = set()
    for file in (*CONSOLE.rglob("*.j2"), *CONSOLE.rglob("*.py")):
        found.update(key for key in _USED.findall(file.read_text()) if key.split(".")[0] in AREAS)
    return {key for key in found if not key.endswith((".j2", ".py", ".js", ".css", ".svg"))}


def test_every_key_that_a_page_uses_exists() -> None:
    known = catalogue()
    assert sorted(key for key in used() if not key.endswith(".") and key not in known) == []
    assert sorted(key for key in used() if key.endswith(".") and not any(k.startswith(key) for k in known)) == []


def test_every_key_is_used() -> None:
    given = used()
    prefixes = tuple(key for key in given if key.endswith("."))
    assert sorted(key for key in catalogue() if key not in given and not key.startswith(prefixes)) == []


def test_both_languages_have_the_same_places() -> None:
    def places(template: str) -> set[str | None]:
        return {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}

    assert [key for key, both in catalogue().items() if places(both.zh) != places(both.en)] == []


def test_the_chinese_is_chinese_and_the_english_is_not() -> None:
    han = re.compile(r"[\u4e00-\u9fff]")
    assert [key for key, both in catalogue().items() if han.search(both.en) or not han.search(both.zh)] == []


def test_an_unknown_key_is_a_fault() -> None:
    with pytest.raises(TextFault, match=r"no text has the key `base\.nothing`"):
        text("en", "base.nothing")


def test_a_text_of_the_program_is_taken_as_it_is() -> None:
    assert text("zh", Bilingual("是", "yes")) == "是"


@pytest.mark.parametrize(
    ("header", "language"),
    [("zh-CN,zh;q=0.9,en;q=0.8", "zh"), ("en-GB,zh;q=0.2", "en"), ("de,zh;q=0.5", "zh"), ("de", "en"), ("", "en")],
)
def test_the_language_is_the_first_that_the_browser_asks_for(header: str, language: str) -> None:
    assert preferred(header) == language
