"""A comparison of two workers' decisions, for people and as JSON."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from monitor.text.display import DEFAULT, Display
from monitor.text.record_ids import ids_of
from monitor.text.timestamps import rfc3339
from monitor.whatif.event_diff import Comparison, Event, Pair, RuleComparison, decided_ms
from schemas.inputs import END_MS, MIN_MS
from streams.topics.progress import UnreadableEvent

_VALUE = 120
_COUNTS = tuple(RuleComparison.__slots__)


def comparison_lines(found: Comparison, a: str, b: str, limit: int, display: Display = DEFAULT) -> Iterator[str]:
    """The lines: sums, then each difference, at most ``limit`` of a kind. ``a`` and ``b`` name the sides."""
    heads = ("same", "words", "otherwise", f"only {a}", f"only {b}")
    widths = [max(9, len(head)) for head in heads]
    yield f"{'rule':<32} {'tier':<7}" + "".join(f"  {head:>{w}}" for head, w in zip(heads, widths, strict=True))
    for (rule, tier), of_rule in found.by_rule.items():
        counts = "".join(f"  {getattr(of_rule, n):>{w},}" for n, w in zip(_COUNTS, widths, strict=True))
        yield f"{display.id(rule):<32} {tier or '-':<7}{counts}"
    otherwise = [pair for pair in found.changed if not pair.wording]
    wording = [pair for pair in found.changed if pair.wording]
    yield from _section(f"decided differently ({a} | {b})", _pairs([*otherwise, *found.moved], display), limit)
    yield from _section(f"worded differently ({a} | {b})", _pairs(wording, display), limit)
    yield from _section(f"only {a}", ([line(event, display)] for event in found.only_a), limit)
    yield from _section(f"only {b}", ([line(event, display)] for event in found.only_b), limit)
    for name, repeated in ((a, found.repeated_a), (b, found.repeated_b)):
        yield from _section(f"more than once in {name}", ([display.id(one)] for one in repeated), limit)


def unreadable_lines(
    records: Sequence[UnreadableEvent], side: str, limit: int, display: Display = DEFAULT
) -> Iterator[str]:
    """The lines on the records of a side that are not events, at most ``limit``."""
    places = ([f"{one.topic}-{one.partition} offset {one.offset}: {display.text(one.why)}"] for one in records)
    yield from _section(f"cannot be read in {side}", places, limit)


def verdict(found: Comparison, unreadable: int) -> str:
    """The final sentence. ``unreadable`` is the number of records of both sides that are not events."""
    if not found.equal:
        return "not the same"
    if unreadable:
        return f"the same decisions, but {unreadable:,} record{'s' if unreadable > 1 else ''} cannot be read"
    return "the same decisions"


def as_json(
    found: Comparison, unreadable_a: Sequence[UnreadableEvent] = (), unreadable_b: Sequence[UnreadableEvent] = ()
) -> dict[str, Any]:
    """The same with every difference, for machines."""
    return {
        "equal": found.equal and not unreadable_a and not unreadable_b,
        "same": found.same,
        "rules": [
            {"rule_id": rule, "tier": tier or None, **{name: getattr(of_rule, name) for name in _COUNTS}}
            for (rule, tier), of_rule in found.by_rule.items()
        ],
        "changed": [_pair_json(pair) for pair in found.changed],
        "moved": [_pair_json(pair) for pair in found.moved],
        "only_a": [_brief(event) for event in found.only_a],
        "only_b": [_brief(event) for event in found.only_b],
        "repeated_a": found.repeated_a,
        "repeated_b": found.repeated_b,
        "unreadable_a": [_unreadable_json(one) for one in unreadable_a],
        "unreadable_b": [_unreadable_json(one) for one in unreadable_b],
    }


def line(event: Event, display: Display = DEFAULT) -> str:
    """One decision: time (UTC), tenant, rule, kind and id."""
    data = event["data"]
    what = " ".join(str(data.get(name)) for name in ("tier", "kind", "status") if data.get(name))
    rule, tenant = display.id(str(data.get("rule_id"))), display.id(str(event.get("subject")))
    return f"{rfc3339(decided_ms(event), 'shortest')}  {tenant}  [{rule}]  {what}  {display.id(str(event['id']))}"


def policies(events: Iterable[Event], display: Display = DEFAULT) -> list[str]:
    """The policies under which events were decided."""

    def show(name: object) -> str:
        return display.id(str(name))

    named = {
        f"{show(policy.get('id'))} {show(policy.get('version'))} ({show(policy.get('sha256'))[:12]})"
        for event in events
        if isinstance(policy := event["data"].get("policy"), dict)
    }
    return sorted(named)


def _section(title: str, entries: Iterable[Sequence[str]], limit: int) -> Iterator[str]:
    entries = list(entries)
    if not entries:
        return
    yield ""
    yield f"{title}: {len(entries):,}"
    for lines in entries[:limit]:
        yield from (f"  {each}" for each in lines)
    if len(entries) > limit:
        yield f"  ... and {len(entries) - limit:,} more (--limit, --json)"


def _pairs(pairs: Iterable[Pair], display: Display) -> Iterator[list[str]]:
    for pair in sorted(pairs, key=lambda pair: decided_ms(pair.a)):
        lines, show = [line(pair.a, display)], _Value(display, ids_of(pair.a, pair.b))
        for one in pair.differences:
            lines.append(f"  {one.path.removeprefix('data.')}: {show.of(one.path, one.a)} | {show.of(one.path, one.b)}")
        yield lines


class _Value(NamedTuple):
    """Shows values of fields; ``ids`` are those of their events."""

    display: Display
    ids: tuple[str, ...]

    def of(self, path: str, value: Any) -> str:
        is_time = path.endswith("_ms") and not path.endswith("window_ms")
        if is_time and isinstance(value, int) and MIN_MS <= value < END_MS:
            return rfc3339(value, "shortest")
        of_reason = path.startswith("data.reason")
        if not isinstance(value, str):
            return self.display.field(value, self.ids, _VALUE, of_reason=of_reason)
        return (self.display.reason if of_reason else self.display.text)(value, self.ids, _VALUE)


def _pair_json(pair: Pair) -> dict[str, Any]:
    return {
        "a": _brief(pair.a),
        "b": _brief(pair.b),
        "wording": pair.wording,
        "differences": [{"field": one.path, "a": one.a, "b": one.b} for one in pair.differences],
    }


def _unreadable_json(record: UnreadableEvent) -> dict[str, Any]:
    return {**record._asdict(), "why": DEFAULT.text(record.why)}


def _brief(event: Event) -> dict[str, Any]:
    names = ("rule_id", "tier", "kind", "status", "decided_ms", "window")
    return {"id": event["id"], "tenant_id": event.get("subject"), **{n: event["data"].get(n) for n in names}}
