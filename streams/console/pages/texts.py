"""The catalogue of the console's texts: a key names a text in Chinese and in English."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Final, Literal

from ruamel.yaml import YAML

from monitor.text.bilingual import Bilingual

Language = Literal["zh", "en"]
LANGUAGES: Final[tuple[Language, ...]] = ("zh", "en")
DEFAULT_LANGUAGE: Final[Language] = "en"


class TextFault(Exception):
    """A file of texts is malformed, or a key is unknown: a fault of the program, not of its user."""


@cache
def catalogue() -> Mapping[str, Bilingual]:
    """All texts by key. Raises TextFault if a file is malformed."""
    found: dict[str, Bilingual] = {}
    for file in sorted(files("streams.console.texts").iterdir(), key=lambda one: one.name):
        if not file.name.endswith(".yaml"):
            continue
        area = file.name.removesuffix(".yaml")
        for key, value in (YAML(typ="safe", pure=True).load(file.read_text("utf-8")) or {}).items():
            if not key.startswith(f"{area}."):
                raise TextFault(f"{file.name}: `{key}`: expected a key that begins with `{area}.`")
            if not isinstance(value, dict) or sorted(value) != ["en", "zh"] or not all(value.values()):
                raise TextFault(f"{file.name}: `{key}`: expected a text in `zh` and one in `en`")
            found[key] = Bilingual(str(value["zh"]), str(value["en"]))
    return found


def text(language: Language, key: str | Bilingual, /, **values: object) -> str:
    """The text of ``key`` with ``values`` in its places, such as ``{n}``. Raises TextFault for an unknown key."""
    if isinstance(key, Bilingual):
        chosen = key
    elif (entry := catalogue().get(key)) is None:
        raise TextFault(f"no text has the key `{key}`; expected it in streams/console/texts/{key.split('.')[0]}.yaml")
    else:
        chosen = entry
    template = chosen.zh if language == "zh" else chosen.en
    return template.format(**values) if values else template


def preferred(header: str) -> Language:
    """The language that a reader's browser asks for (``Accept-Language``): Chinese if it comes before English."""
    for part in header[:500].lower().split(","):
        tag = part.split(";")[0].strip()
        if tag.startswith("zh"):
            return "zh"
        if tag.startswith("en"):
            return "en"
    return DEFAULT_LANGUAGE
