"""The answers of billing while it is killed and more records are written, and a check of each answer."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from oracle.billing import holds, readable
from streams.kafka.api import TP

Ends = Mapping[TP, int]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request and its answer, with the committed positions of the database ``before`` and ``after`` it."""

    tenant: str
    asked_s: float
    before: Ends
    status: int
    headers: Mapping[str, str]
    body: Any
    after: Ends


class Written:
    """The committed records by position, and the ends of the topic that were observed, with the times."""

    def __init__(self) -> None:
        self._records: dict[tuple[TP, int], bytes | None] = {}
        self._seen: list[tuple[float, Ends]] = []
        self._about: dict[str, list[tuple[TP, int]]] | None = None

    def add(self, tp: TP, offset: int, record: bytes | None) -> None:
        """Add a committed record."""
        self._records[tp, offset] = record

    def ends(self, at_s: float, ends: Ends) -> None:
        """Note that at that time every record before these ends was committed."""
        self._seen.append((at_s, dict(ends)))

    def committed_by(self, at_s: float) -> Ends:
        """The ends that had been observed by that time."""
        return next((ends for seen_s, ends in reversed(self._seen) if seen_s <= at_s), {})

    def possible(self, tenant: str, least: Ends, most: Ends) -> list[set[str]]:
        """The sets of holds that the rule allows for the tenant, for all positions between ``least`` and ``most``."""
        places = self._of(tenant)
        choices = []
        for tp in sorted({tp for tp, _ in places}):
            between = [o + 1 for at, o in places if at == tp and least.get(tp, 0) < o + 1 <= most.get(tp, 0)]
            choices.append([(tp, stop) for stop in [least.get(tp, 0), *sorted(between)]])
        found = []
        for chosen in product(*choices):
            at = dict(chosen)
            left = holds(self._records[tp, offset] for tp, offset in places if offset < at[tp]).get(tenant, set())
            found += [left] if left not in found else []
        return found

    def _of(self, tenant: str) -> Sequence[tuple[TP, int]]:
        """The positions of the records that hold the tenant's refunds or release such a hold."""
        if self._about is None:
            events = {place: event for place, record in self._records.items() if (event := readable(record))}
            whose = {event["id"]: event["subject"] for event in events.values()}
            self._about = {}
            for place in sorted(events):
                event = events[place]
                taken = (event["data"].get("supersedes"), event["data"].get("reverses"))
                for name in {event["subject"], *(whose.get(each or "") for each in taken)}:
                    self._about.setdefault(name or "", []).append(place)
        return self._about.get(tenant, [])


def wrong(asked: Asked, written: Written, stale_s: float) -> Iterator[str]:
    """Yield what is wrong with the answer."""
    if asked.status == 503:
        if not asked.headers.get("retry-after", "").isdigit():
            yield "no Retry-After"
        if {"refundable", "cancellable"} & asked.body.keys() or not {"as_of_ms", "holds"} <= asked.body.keys():
            yield "a 503 has the holds last known and of when they are, and nothing else"
        least: Ends = asked.before
    elif asked.status == 200:
        for field in ("refundable", "cancellable"):
            if asked.body[field] is not (not asked.body["holds"]):
                yield f"{field} exactly where there is no hold"
        fresh = written.committed_by(asked.asked_s - stale_s)
        least = {tp: max(asked.before.get(tp, 0), fresh.get(tp, 0)) for tp in asked.before.keys() | fresh.keys()}
    else:
        yield f"status {asked.status}"
        return
    if (given := asked.body["holds"]) is not None:
        held = {hold["id"] for hold in given}
        if held not in (right := written.possible(asked.tenant, least, asked.after)):
            yield f"{held} is none of {right}"
