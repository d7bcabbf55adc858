"""Compares the topic of evidence with the places of the records that the expected decisions name."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from monitor.partition.processing.task_output import TaskOutput
from monitor.whatif.event_diff import FieldDifference
from schemas import codec
from schemas.evidence import EvidencePlaces
from schemas.outputs import Enforcement
from streams.audit.compare import (
    NO_EVENT,
    Compared,
    EventDifference,
    PublishedRecord,
    TopicPartitionRef,
    What,
    published_times,
)
from streams.kafka.topic_names import TopicNames
from streams.topics.transaction_records import evidence_of

_EVIDENCE: Final = msgspec.json.Decoder(EvidencePlaces)


@dataclass(slots=True)
class EvidenceAudit:
    """The expected evidence of one partition, collected while it is judged again.

    ``fewer`` counts records with some of the expected places, ``unwritten`` decisions before the first record: their
    input was read before places were kept, or their evidence has expired.
    """

    place: TopicPartitionRef
    names: TopicNames
    fewer: int = 0
    unwritten: int = 0
    _expected: dict[str, tuple[Enforcement, EvidencePlaces]] = field(default_factory=dict)

    def collect(self, taken: TaskOutput) -> None:
        """Add the evidence of the decisions in an output."""
        for event, evidence in evidence_of(self.names, self.place.number, taken):
            self._expected[event.id] = event, evidence

    def compare(
        self, must: Iterable[Enforcement], decisions: Iterable[PublishedRecord], found: Iterable[PublishedRecord]
    ) -> Compared:
        """Compare with the records ``found`` the evidence of the decisions that must be there.

        ``decisions`` are the published ones: the audit reports those that are missing or not expected by themselves.
        """
        result, at, published = Compared(), dict[str, int](), dict(published_times(decisions))
        due = {event.id for event in must if event.id in self._expected and event.id in published}
        oldest_ms = None
        for record in found:
            try:
                evidence = _EVIDENCE.decode(record.value or b"")
            except NO_EVENT as error:
                result.differences.append(
                    self._difference("invented", record.offset, "", f"expected evidence: {error}")
                )
                continue
            name = evidence.enforcement_id
            if name in published:
                oldest_ms = min(published[name], published[name] if oldest_ms is None else oldest_ms)
            if name in at:
                why = f"it is at offset {at[name]} already"
                result.differences.append(self._difference("repeated", record.offset, name, why))
            elif name in due:
                at[name] = record.offset
                self._one(result, record, evidence)
            elif name in published or name in self._expected:
                result.later += 1
            else:
                at[name] = record.offset
                result.differences.append(self._difference("invented", record.offset, name, "no such decision"))
        for name in sorted(due - at.keys()):
            if oldest_ms is None or published[name] < oldest_ms:
                self.unwritten += 1
            else:
                result.differences.append(self._difference("missing", None, name, ""))
        return result

    def notes(self) -> Iterator[str]:
        """Remarks on what was not compared."""
        if self.unwritten:
            yield (
                f"{self.unwritten:,} decisions have no evidence record: it has expired, or they were made before such "
                "records were written"
            )
        if self.fewer:
            yield (
                f"{self.fewer:,} evidence records have fewer places than expected: the worker had read their records "
                "before places were kept"
            )

    def _one(self, result: Compared, record: PublishedRecord, evidence: EvidencePlaces) -> None:
        event, expected = self._expected[evidence.enforcement_id]
        if (record.key, record.value) == (event.subject.encode(), codec.encode(expected)) and not record.headers:
            result.same += 1
        elif record.key == event.subject.encode() and _is_part(evidence, expected):
            self.fewer += 1
        else:
            places = FieldDifference("places", *(msgspec.to_builtins(one.places) for one in (expected, evidence)))
            changes = (places,) if evidence != expected else ()
            result.differences.append(self._difference("changed", record.offset, evidence.enforcement_id, "", changes))

    def _difference(
        self, what: What, offset: int | None, name: str, why: str, changes: tuple[FieldDifference, ...] = ()
    ) -> EventDifference:
        event: Any = None
        if name in self._expected:
            event = msgspec.to_builtins(self._expected[name][0])
        return EventDifference(what, *self.place, offset, name, event, changes, decision=False, why=why)


def _is_part(evidence: EvidencePlaces, expected: EvidencePlaces) -> bool:
    """Whether the places are some of the expected ones, in their order."""
    rest = iter(expected.places)
    return evidence != expected and all(place in rest for place in evidence.places)
