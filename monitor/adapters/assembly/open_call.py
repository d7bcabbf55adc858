"""A call whose end has not come: its events, and the time at which it ends without another one."""

from dataclasses import dataclass, field
from typing import NamedTuple

from monitor.adapters.assembly.call_event import CallEvent, CallKey
from monitor.adapters.mapping.spec import Events


class KeptEvent(NamedTuple):
    """An event that counts: ordered by the format's sequence number, then by time, kind and content.

    ``ref`` is its place in the log. It does not take part in the order, so a repeated event changes nothing.
    """

    sequence: int
    at_ms: int
    kind: int
    cells: tuple[str, ...]
    end: str
    ref: int

    @classmethod
    def of(cls, event: CallEvent, ref: int) -> "KeptEvent":
        """``event``, which was read at ``ref``."""
        return cls(event.sequence, event.at_ms, event.kind, event.cells, event.end, ref)

    @property
    def chars(self) -> int:
        """The length of its texts."""
        return len(self.end) + sum(map(len, self.cells))

    def before(self, other: "KeptEvent") -> bool:
        """Whether this event comes before ``other`` in the order of the call."""
        return self[:5] < other[:5]


@dataclass(slots=True)
class OpenCall:
    """The state of one call: at most one event of each kind, so its size does not grow with the number of events.

    ``opened_ms`` and ``touched_ms`` are the clock at its first and last event, or the time of an event that is ahead
    of the clock. ``first_ms`` and ``last_ms`` are the times of its earliest and latest event. ``due_ms`` is when the
    deadline is looked at next. ``serial`` and ``owned`` number the opening and the finding of the tenant. ``chars`` is
    the length of all texts.
    """

    key: CallKey
    serial: int
    tenant: str
    opened_ms: int
    touched_ms: int
    first_ms: int
    last_ms: int
    due_ms: int = 0
    owned: int = 0
    events: dict[int, KeptEvent] = field(default_factory=dict)
    chars: int = field(init=False)

    def __post_init__(self) -> None:
        self.chars = sum(map(len, self.key)) + sum(each.chars for each in self.events.values())

    def add(self, event: KeptEvent, clock_ms: int, events: Events) -> int:
        """Add an event. The result does not depend on the order in which events are added.

        Returns by how much ``chars`` has grown.
        """
        self.touched_ms = max(self.touched_ms, event.at_ms, clock_ms)
        self.first_ms = min(self.first_ms, event.at_ms)
        self.last_ms = max(self.last_ms, event.at_ms)
        kept = self.events.get(event.kind)
        if kept is None or (kept.before(event) if events.kinds[event.kind].last else event.before(kept)):
            grown = event.chars - (kept.chars if kept is not None else 0)
            self.events[event.kind] = event
            self.chars += grown
            return grown
        return 0

    def in_order(self) -> list[KeptEvent]:
        """The events that count, in the order of the call."""
        return sorted(self.events.values())

    def is_opened(self, events: Events) -> bool:
        """Whether the call has an opening event."""
        return any(events.kinds[kind].opens for kind in self.events)

    def is_answered(self, events: Events) -> bool:
        """Whether the call has an answering event."""
        return any(events.kinds[kind].answers for kind in self.events)

    def is_closed(self, events: Events) -> bool:
        """Whether the call has a closing event; one that fails closes only a call without an answer."""
        answered = self.is_answered(events)
        return any(events.kinds[kind].closes or (events.kinds[kind].fails and not answered) for kind in self.events)

    def deadline_ms(self, events: Events) -> int:
        """The time on the clock at which the call ends unless another event comes."""
        latest_ms = self.opened_ms + events.max_call_ms
        if self.is_closed(events):
            waits_ms = events.settle_ms if self.is_opened(events) else events.ring_timeout_ms
        elif self.is_answered(events):
            return latest_ms
        else:
            waits_ms = events.ring_timeout_ms
        return min(self.touched_ms + waits_ms, latest_ms)
