"""Records in transit: added with their arrival times, returned in that order."""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from monitor.decoding.input_topics import CARRIES, INPUTS
from monitor.simulate.tenants.population import Ints

# The topic of each record type, as an index into INPUTS.
TOPIC_OF = {str(kind.__struct_config__.tag): topic for topic, name in enumerate(INPUTS) for kind in CARRIES[name]}
CALLS = TOPIC_OF["cdr"]
Texts = NDArray[np.object_]


@dataclass(slots=True)
class Arrivals:
    """Records, one row each: ``topic`` is an index into INPUTS, ``tenant`` an id, ``line`` JSON with a line feed."""

    arrival_ms: Ints
    topic: Ints
    tenant: Texts
    line: Texts

    def __len__(self) -> int:
        return len(self.arrival_ms)

    def take(self, rows: NDArray[np.bool_] | Ints) -> "Arrivals":
        """Some of the rows, by a mask or by their indices."""
        return Arrivals(*(getattr(self, column.name)[rows] for column in fields(self)))

    @staticmethod
    def joined(parts: Sequence["Arrivals"]) -> "Arrivals":
        """The rows of all ``parts`` (at least one), one part after the other."""
        return Arrivals(*(np.concatenate([getattr(p, column.name) for p in parts]) for column in fields(Arrivals)))


class Way:
    """Accepts records and returns them by arrival time; at equal times calls first, then in the order given."""

    def __init__(self) -> None:
        self._calls: list[Arrivals] = []
        self._others: list[tuple[int, int, int, str, str]] = []
        self._given = 0

    def calls(self, arrival_ms: Ints, tenant: Texts, line: Texts) -> None:
        """Add calls."""
        self._calls.append(Arrivals(arrival_ms, np.full(len(line), CALLS), tenant, line))

    def other(self, arrival_ms: int, kind: str, tenant: str, line: str) -> None:
        """Add one record that is not a call; ``kind`` is its type."""
        self._given += 1
        heapq.heappush(self._others, (arrival_ms, self._given, TOPIC_OF[kind], tenant, line))

    def due(self, before_ms: int) -> Arrivals:
        """The records that arrive before that time, sorted; no earlier record may be added afterwards."""
        others = list(self._others_due(before_ms))
        rest = Arrivals(
            np.array([arrival for arrival, *_ in others], dtype=np.int64),
            np.array([topic for _, _, topic, *_ in others], dtype=np.int64),
            np.array([tenant for *_, tenant, _ in others], dtype=object),
            np.array([line for *_, line in others], dtype=object),
        )
        due = [calls.arrival_ms < before_ms for calls in self._calls]
        arrivals = Arrivals.joined([*(c.take(now) for c, now in zip(self._calls, due, strict=True)), rest])
        self._calls = [calls.take(~now) for calls, now in zip(self._calls, due, strict=True) if not now.all()]
        return arrivals.take(np.argsort(arrivals.arrival_ms, kind="stable"))

    def _others_due(self, before_ms: int) -> Iterator[tuple[int, int, int, str, str]]:
        while self._others and self._others[0][0] < before_ms:
            yield heapq.heappop(self._others)
