"""Compares two lists of enforcement events: by id, then by tenant, rule and window."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from schemas.inputs import END_MS

Event = Mapping[str, Any]
"""An event as parsed JSON, so that one with additional or other fields can be compared too."""

_REASON, _EVIDENCE = "data.reason", "data.evidence."
_TAKES_BACK: Final = ("reversal", "lapse")
_RECORDS: Final = ("complaint_ids", "finding_ids", "application_ids", "review_ids")


@dataclass(frozen=True, slots=True)
class FieldDifference:
    """A field by its path, such as ``data.measure.value``, and its value in either event; None if absent."""

    path: str
    a: Any
    b: Any

    @property
    def wording(self) -> bool:
        """Whether only the wording of the reason or the order of evidence differs, not the decision."""
        if self.path == _REASON or self.path.startswith(f"{_REASON}."):
            return True
        if not self.path.startswith(_EVIDENCE) or not (isinstance(self.a, list) and isinstance(self.b, list)):
            return False
        return sorted(map(str, self.a)) == sorted(map(str, self.b))


@dataclass(frozen=True, slots=True)
class Pair:
    """Two events about the same subject, and their differences."""

    a: Event
    b: Event
    differences: tuple[FieldDifference, ...]

    @property
    def wording(self) -> bool:
        """Whether the decisions are equal and only the wording differs."""
        return all(difference.wording for difference in self.differences)


@dataclass(slots=True)
class RuleComparison:
    """Event counts of one rule and tier: equal, differing in wording, differing otherwise, on one side only."""

    same: int = 0
    wording: int = 0
    otherwise: int = 0
    only_a: int = 0
    only_b: int = 0


@dataclass(slots=True)
class Comparison:
    """The result of comparing two lists.

    ``changed`` are events with the same id that differ; ``moved`` those with two ids and the same subject: tenant,
    rule, and windows that overlap, or without a window the same record or time. Events in ``only_a`` and ``only_b``
    have no such counterpart. ``repeated_a`` and ``repeated_b`` are ids that occur more than once. The event lists are
    sorted by time, tenant and id.
    """

    same: int = 0
    changed: list[Pair] = field(default_factory=list)
    moved: list[Pair] = field(default_factory=list)
    only_a: list[Event] = field(default_factory=list)
    only_b: list[Event] = field(default_factory=list)
    repeated_a: list[str] = field(default_factory=list)
    repeated_b: list[str] = field(default_factory=list)
    by_rule: dict[tuple[str, str], RuleComparison] = field(default_factory=dict)

    @property
    def equal(self) -> bool:
        """Whether there is no difference at all."""
        others = self.changed, self.moved, self.only_a, self.only_b, self.repeated_a, self.repeated_b
        return not any(others)


def compare(a: Iterable[Event], b: Iterable[Event], ignored: Collection[str] = ()) -> Comparison:
    """Compare two lists of events. ``ignored``: paths whose differences do not count, including all below them."""
    found = Comparison()
    by_id_a, found.repeated_a = _by_id(a)
    by_id_b, found.repeated_b = _by_id(b)
    by_rule: defaultdict[tuple[str, str], RuleComparison] = defaultdict(RuleComparison)
    for event_id, event in by_id_a.items():
        other = by_id_b.get(event_id)
        if other is None:
            continue
        pair = Pair(event, other, tuple(differences(event, other, ignored)))
        of_rule = by_rule[_rule_and_tier(event)]
        if not pair.differences:
            found.same += 1
            of_rule.same += 1
            continue
        found.changed.append(pair)
        if pair.wording:
            of_rule.wording += 1
        else:
            of_rule.otherwise += 1
    only_a = [event for event_id, event in by_id_a.items() if event_id not in by_id_b]
    only_b = [event for event_id, event in by_id_b.items() if event_id not in by_id_a]
    for event, other in _counterparts(only_a, only_b):
        # Their ids differ because these fields do, or because their subjects do.
        found.moved.append(Pair(event, other, tuple(differences(event, other, {*ignored, "id", "time"}))))
        by_rule[_rule_and_tier(event)].otherwise += 1
    taken = {str(event["id"]) for pair in found.moved for event in (pair.a, pair.b)}
    found.only_a = sorted((event for event in only_a if event["id"] not in taken), key=_order)
    found.only_b = sorted((event for event in only_b if event["id"] not in taken), key=_order)
    for event in found.only_a:
        by_rule[_rule_and_tier(event)].only_a += 1
    for event in found.only_b:
        by_rule[_rule_and_tier(event)].only_b += 1
    for pairs in (found.changed, found.moved):
        pairs.sort(key=lambda pair: _order(pair.a))
    found.by_rule = dict(sorted(by_rule.items()))
    return found


def differences(a: Any, b: Any, ignored: Collection[str] = (), path: str = "") -> Iterator[FieldDifference]:
    """The fields in which two events differ; a list is one field."""
    if path in ignored:
        return
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        for name in dict.fromkeys([*a, *b]):
            yield from differences(a.get(name), b.get(name), ignored, f"{path}.{name}" if path else str(name))
    elif type(a) is not type(b) or a != b:  # 3 and 3.0 are different bytes
        yield FieldDifference(path, a, b)


def decided_ms(event: Any) -> int:
    """The time at which an event was decided, 0 if it has none or is not an event."""
    at_ms = _data(event).get("decided_ms")
    return at_ms if isinstance(at_ms, int) and 0 <= at_ms < END_MS else 0


def _by_id(events: Iterable[Event]) -> tuple[dict[str, Event], list[str]]:
    """The first event of each id, and the ids that occur more than once."""
    first: dict[str, Event] = {}
    repeated: Counter[str] = Counter()
    for event in events:
        if first.setdefault(str(event["id"]), event) is not event:
            repeated[str(event["id"])] += 1
    return first, sorted(repeated)


def _counterparts(only_a: Iterable[Event], only_b: Iterable[Event]) -> Iterator[tuple[Event, Event]]:
    """Pairs of events about the same subject, nearest in time first; each event is in at most one pair."""
    others: defaultdict[tuple[str, str, str], list[Event]] = defaultdict(list)
    for event in only_b:
        others[_about(event)].append(event)
    near = [(event, other) for event in only_a for other in others.get(_about(event), ()) if _same_matter(event, other)]
    taken: set[str] = set()
    for event, other in sorted(near, key=_nearness):
        if event["id"] not in taken and other["id"] not in taken:
            taken |= {event["id"], other["id"]}
            yield event, other


def _nearness(pair: tuple[Event, Event]) -> tuple[Any, ...]:
    a, b = pair
    return abs(decided_ms(a) - decided_ms(b)), *sorted((_order(a), _order(b)))


def _about(event: Event) -> tuple[str, str, str]:
    kind = str(_data(event).get("kind"))
    return str(event.get("subject")), str(_data(event).get("rule_id")), kind if kind in _TAKES_BACK else ""


def _same_matter(a: Event, b: Event) -> bool:
    windows = _data(a).get("window"), _data(b).get("window")
    if windows[0] and windows[1]:
        return bool(windows[0]["start_ms"] < windows[1]["end_ms"] and windows[1]["start_ms"] < windows[0]["end_ms"])
    if windows != (None, None):
        return False
    records = _records(a)
    return decided_ms(a) == decided_ms(b) or (any(records) and records == _records(b))


def _records(event: Event) -> list[Any]:
    """The records that decided, without a window: a clock that advanced while idle may have moved the time."""
    evidence = _data(event).get("evidence")
    return [evidence.get(name) for name in _RECORDS] if isinstance(evidence, Mapping) else []


def _rule_and_tier(event: Event) -> tuple[str, str]:
    return str(_data(event).get("rule_id")), str(_data(event).get("tier") or "")


def _order(event: Event) -> tuple[int, str, str]:
    return decided_ms(event), str(event.get("subject")), str(event["id"])


def _data(event: Any) -> Mapping[str, Any]:
    data = event.get("data") if isinstance(event, Mapping) else None
    return data if isinstance(data, Mapping) else {}
