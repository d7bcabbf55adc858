"""The differences between two resolved policies, line by line, for people."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

from msgspec import Struct, field

from monitor.policy.diff_wording import diff_text
from monitor.policy.model import Policy
from monitor.policy.serialize import written_out
from monitor.text.bilingual import Bilingual
from monitor.text.numbers import number

_LISTS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("rules", "rule", ("id",)),
    ("escalations", "escalation", ("id",)),
    ("overrides", "override", ("tenant", "rule")),
    ("prohibited_businesses", "prohibited_business", ("key",)),
)
_HEADS: Final = ("id", "version", "admissions")

_Key = tuple[str, ...]
"""What an item of a list goes by. Ids may have spaces: joined, two keys could be the same."""

Change = Literal["added", "removed", "changed"]


class ChangedItem(Struct):
    """One item that differs; ``fields`` are the lines about those of its fields that changed.

    ``key`` is the key of one that is a value by itself, such as the version, else empty.
    """

    change: Change
    what: Bilingual
    fields: list[Bilingual] = field(default_factory=list)
    key: str = ""


_SIGNS: Final[dict[Change, str]] = {"added": "+", "removed": "-", "changed": "~"}


def diff(a: Policy, b: Policy) -> list[str]:
    """The English lines that lead from ``a`` to ``b``; none if both decide alike under the same names.

    An item begins with ``+``, ``-`` or ``~`` (changed); its changed fields follow, indented.
    """
    lines = []
    for item in changes(a, b):
        lines.append(f"{_SIGNS[item.change]} {item.what.en}")
        lines += [f"    {each.en}" for each in item.fields]
    return lines


def changes(a: Policy, b: Policy) -> list[ChangedItem]:
    """What leads from ``a`` to ``b``; nothing if both decide alike under the same names."""
    old, new = written_out(a), written_out(b)
    items = [
        ChangedItem("changed", _change(key, old[key], new[key]), key=key) for key in _HEADS if old[key] != new[key]
    ]
    items += _thing(diff_text("defaults"), old["defaults"], new["defaults"])
    for section, noun in (("tiers", "tier"), ("behaviours", "behaviour")):
        for key in old[section]:
            items += _thing(_one(noun, key), old[section][key], new[section][key])
    for section, noun, keys in _LISTS:
        items += _list(noun, _Side(old, _keyed(old[section], keys)), _Side(new, _keyed(new[section], keys)))
    items += _exemptions(old["exemptions"], new["exemptions"])
    before, after = (_Side(each, {(name,): one for name, one in each["profiles"].items()}) for each in (old, new))
    items += _list("profile", before, after, ordered=False)
    return items


def _keyed(items: Sequence[Mapping[str, Any]], keys: tuple[str, ...]) -> dict[_Key, Mapping[str, Any]]:
    return {tuple(str(item[key]) for key in keys): item for item in items}


def _one(noun: str, *key: str) -> Bilingual:
    return diff_text("one", noun=diff_text(noun), key=" ".join(key))


def _described(noun: str, key: _Key, item: Mapping[str, Any], unsaid: Mapping[str, Any]) -> Bilingual:
    return diff_text("with_summary", what=_one(noun, *key), summary=_summary(item, unsaid))


class _Side(NamedTuple):
    """The items of one of the two policies, which is ``policy`` with every value written out."""

    policy: Mapping[str, Any]
    items: Mapping[_Key, Mapping[str, Any]]

    def described(self, noun: str, key: _Key) -> Bilingual:
        """An item that the other policy does not have."""
        item = self.items[key]
        return _described(noun, key, item, _unsaid(noun, item, self.policy))


def _list(noun: str, old: _Side, new: _Side, ordered: bool = True) -> Iterator[ChangedItem]:
    for key in old.items:
        if key not in new.items:
            yield ChangedItem("removed", old.described(noun, key))
    for key, item in new.items.items():
        if key not in old.items:
            yield ChangedItem("added", new.described(noun, key))
        else:
            yield from _thing(_one(noun, *key), old.items[key], item)
    kept = [key for key in old.items if key in new.items]
    moved = [key for key in new.items if key in old.items]
    if ordered and kept != moved:
        # Rules decide in file order, and the first row of the catalogue that matches is the one named.
        before, after = (", ".join(map(" ".join, keys)) for keys in (kept, moved))
        yield ChangedItem("changed", diff_text("order", noun=diff_text(noun), before=before, after=after))


def _thing(name: Bilingual, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[ChangedItem]:
    absent = diff_text("absent")
    changed: list[Bilingual] = []
    for key in dict.fromkeys((*old, *new)):
        before, after = old.get(key, absent), new.get(key, absent)
        if before == after:
            continue
        if key in ("terms", "unless", "tenants", "exempt") and isinstance(before, list) and isinstance(after, list):
            changed += [diff_text("item_removed", field=key, item=_shown(each)) for each in before if each not in after]
            changed += [diff_text("item_added", field=key, item=_shown(each)) for each in after if each not in before]
            if sorted(before) == sorted(after):
                changed.append(diff_text("items_moved", field=key))
        elif isinstance(before, Mapping) and isinstance(after, Mapping):
            changed += [
                _change(f"{key}.{each}", before[each], after[each]) for each in before if before[each] != after[each]
            ]
        else:
            changed.append(_change(key, before, after))
    return [ChangedItem("changed", name, changed)] if changed else []


def _exemptions(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> Iterator[ChangedItem]:
    sides: tuple[tuple[Change, Any, Any], ...] = (("removed", old, new), ("added", new, old))
    for change, here, there in sides:
        for item in here:
            if item not in there:
                yield ChangedItem(change, _described("exemption", (item["tenant"],), item, {}))


def _change(key: str, before: Any, after: Any) -> Bilingual:
    return diff_text("changed", field=key, before=_shown(before), after=_shown(after))


_SUMMARIES: dict[str, Callable[[Any], str]] = {
    "rule": lambda v: str(v),
    "terms": lambda v: ", ".join(v),
    "rules": lambda v: ", ".join(v),
    "exempt": lambda v: ", ".join(v),
    "tenants": lambda v: ", ".join(v),
    "unless": lambda v: ", ".join(v),
}
_TOLD = (
    "behaviour",
    "metric",
    "above",
    "below",
    "at_least",
    "window",
    "step",
    "tier",
    "mode",
    "once_per_rule",
    "rules",
    "exempt",
    "tenants",
    "zh",
    "terms",
)
_UNLESS_USUAL = ("first", "min_denominator", "confidence", "also", "cooldown", "recover", "freeze", "with", "unless")
_SIGNED = ("owner", "reason", "expires")


def _unsaid(noun: str, item: Mapping[str, Any], policy: Mapping[str, Any]) -> Mapping[str, Any]:
    """The values that a summary leaves out: the usual ones, of an override those of its rule."""
    if noun == "override":
        rule = next(each for each in policy["rules"] if each["id"] == item["rule"])
        return rule if item["recover"] == rule["recover"] else {**rule, "recover": _threshold(item)}
    if noun == "rule":
        usual = {
            "first": None,
            "min_denominator": 1,
            "confidence": None,
            "also": [],
            "freeze": False,
            "with": policy["defaults"],
        }
        return {**usual, "cooldown": item["window"], "recover": _threshold(item)}
    return {"freeze": True, "unless": []}


def _threshold(item: Mapping[str, Any]) -> Any:
    return item["above"] if "above" in item else item["below"]


def _summary(item: Mapping[str, Any], unsaid: Mapping[str, Any]) -> str:
    # In no language: the keys and values of the file.
    fields = [(key, item[key]) for key in _TOLD if item.get(key) not in (None, False)]
    for key in (key for key in _UNLESS_USUAL if key in item):
        if key == "with":
            fields += [(f"with.{name}", each) for name, each in item[key].items() if each != unsaid[key][name]]
        elif item[key] != unsaid[key]:
            fields.append((key, item[key]))
    fields += [(key, item[key]) for key in _SIGNED if key in item]
    return ", ".join(f"{key} {_SUMMARIES.get(key, _plain)(value)}" for key, value in fields)


def _shown(value: Any) -> Bilingual:
    if isinstance(value, Bilingual):
        return value
    if value is None:
        return diff_text("nothing")
    text = _plain(value)
    return Bilingual(text, text)


def _plain(value: Any) -> str:
    if value is None or isinstance(value, (list, dict, bool)):
        return json.dumps(value, ensure_ascii=False)
    return number(value) if isinstance(value, float) else str(value)
