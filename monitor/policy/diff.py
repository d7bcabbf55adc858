"""The differences between two resolved policies, line by line, for people."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct, field

from monitor.policy.model import Policy
from monitor.policy.serialize import written_out

_LISTS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("rules", "rule", ("id",)),
    ("escalations", "escalation", ("id",)),
    ("overrides", "override", ("tenant", "rule")),
    ("prohibited_businesses", "prohibited business", ("key",)),
)
_ABSENT = "(none)"


class ChangedItem(Struct):
    """One item that differs; ``fields`` are the lines about those of its fields that changed."""

    change: Literal["added", "removed", "changed"]
    what: str
    fields: list[str] = field(default_factory=list)


def diff(a: Policy, b: Policy) -> list[str]:
    """The lines that lead from ``a`` to ``b``; none if both decide alike under the same names.

    An item begins with ``+``, ``-`` or ``~`` (changed); its changed fields follow, indented.
    """
    old, new = written_out(a), written_out(b)
    heads = ("id", "version", "admissions")
    lines = [f"~ {key}: {_shown(old[key])} -> {_shown(new[key])}" for key in heads if old[key] != new[key]]
    lines += _thing("defaults", old["defaults"], new["defaults"])
    for section, word in (("tiers", "tier"), ("behaviours", "behaviour")):
        for key in old[section]:
            lines += _thing(f"{word} {key}", old[section][key], new[section][key])
    for section, word, keys in _LISTS:
        lines += _list(word, _keyed(old[section], keys), _keyed(new[section], keys))
    lines += _exemptions(old["exemptions"], new["exemptions"])
    lines += _list("profile", old["profiles"], new["profiles"], ordered=False)
    return lines


_CHANGES: dict[str, Literal["added", "removed", "changed"]] = {"+": "added", "-": "removed", "~": "changed"}


def changed_items(lines: Sequence[str]) -> list[ChangedItem]:
    """The lines of `diff` as values."""
    found: list[ChangedItem] = []
    for line in lines:
        if line.startswith(" "):
            found[-1].fields.append(line.strip())
        else:
            found.append(ChangedItem(_CHANGES[line[0]], line[2:]))
    return found


def _keyed(items: Sequence[Mapping[str, Any]], keys: tuple[str, ...]) -> dict[str, Mapping[str, Any]]:
    return {" ".join(str(item[key]) for key in keys): item for item in items}


def _list(word: str, old: Mapping[str, Any], new: Mapping[str, Any], ordered: bool = True) -> Iterator[str]:
    for key, item in old.items():
        if key not in new:
            yield f"- {word} {key}: {_summary(item)}"
    for key, item in new.items():
        if key not in old:
            yield f"+ {word} {key}: {_summary(item)}"
        else:
            yield from _thing(f"{word} {key}", old[key], item)
    kept = [key for key in old if key in new]
    moved = [key for key in new if key in old]
    if ordered and kept != moved:
        # Rules decide in file order, and the first row of the catalogue that matches is the one named.
        yield f"~ order: {word} {', '.join(kept)} -> {', '.join(moved)}"


def _thing(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    changes = []
    for key in dict.fromkeys((*old, *new)):
        before, after = old.get(key, _ABSENT), new.get(key, _ABSENT)
        if before == after:
            continue
        if key in ("terms", "unless", "tenants", "exempt") and isinstance(before, list) and isinstance(after, list):
            changes += [f"    {key}: - {_shown(term)}" for term in before if term not in after]
            changes += [f"    {key}: + {_shown(term)}" for term in after if term not in before]
            if sorted(before) == sorted(after):
                changes.append(f"    {key}: order changed")
        elif isinstance(before, Mapping) and isinstance(after, Mapping):
            changes += [
                f"    {key}.{field}: {_shown(before[field])} -> {_shown(after[field])}"
                for field in before
                if before[field] != after[field]
            ]
        else:
            changes.append(f"    {key}: {_shown(before)} -> {_shown(after)}")
    return [f"~ {name}", *changes] if changes else []


def _exemptions(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> Iterator[str]:
    for sign, here, there in (("-", old, new), ("+", new, old)):
        for item in here:
            if item not in there:
                yield f"{sign} exemption {item['tenant']}: {_summary(item)}"


_SUMMARIES: dict[str, Callable[[Any], str]] = {
    "rule": lambda v: str(v),
    "terms": lambda v: ", ".join(v),
    "rules": lambda v: ", ".join(v),
    "exempt": lambda v: ", ".join(v),
    "tenants": lambda v: ", ".join(v),
}
_TOLD = (
    "behaviour",
    "metric",
    "above",
    "below",
    "at_least",
    "window",
    "tier",
    "mode",
    "first",
    "once_per_rule",
    "rules",
    "exempt",
    "tenants",
    "zh",
    "terms",
    "owner",
    "reason",
    "expires",
)


def _summary(item: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{key} {_SUMMARIES.get(key, _shown)(item[key])}" for key in _TOLD if item.get(key) not in (None, False)
    )


def _shown(value: Any) -> str:
    if isinstance(value, (list, dict, bool)):
        return json.dumps(value, ensure_ascii=False)
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
