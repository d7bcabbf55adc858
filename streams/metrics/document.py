"""The catalogue as the tables of docs/reference/metrics.md."""

from collections.abc import Iterator

from streams.metrics.catalogue import CATALOGUE
from streams.metrics.spec import MetricSpec

BEGIN = "<!-- Generated from the catalogue in streams/metrics/ by `make metrics`. -->"
END = "<!-- Here the generated part ends. -->"


class MarksError(ValueError):
    """The page has no marks for the tables."""


def rewritten(page: str) -> str:
    """The page with the current catalogue between its marks. Raises MarksError."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise MarksError(f"no place for the catalogue; expected the lines `{BEGIN}` and `{END}`")
    tables = "\n".join(_tables())
    return f"{before}{begin}\n{tables}\n{end}{after}"


def _tables() -> Iterator[str]:
    yield "| metric | type, unit | labels | by | |"
    yield "| --- | --- | --- | --- | --- |"
    for entry in CATALOGUE:
        labels = ", ".join(f"`{label.name}`" for label in entry.labels)
        yield f"| `{entry.name}` | {entry.kind}, {entry.unit} | {labels} | {_programs(entry)} | {entry.help} |"
    yield ""
    yield "| label | of | its values |"
    yield "| --- | --- | --- |"
    bounds: dict[tuple[str, str], list[str]] = {}
    for entry in CATALOGUE:
        for label in entry.labels:
            bounds.setdefault((label.name, label.bound), []).append(entry.name.removeprefix("callwarden_"))
    for (name, bound), users in sorted(bounds.items()):
        yield f"| `{name}` | {', '.join(f'`{user}`' for user in users)} | {bound} |"


def _programs(entry: MetricSpec) -> str:
    return ", ".join(entry.by)
