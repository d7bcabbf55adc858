"""Compares the topic of measures with the measures of each hour that was judged again."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

import msgspec

from monitor.partition.processing.task_output import TaskOutput
from monitor.text.timestamps import rfc3339
from schemas.measures import TenantHour
from streams.audit.compare import NO_EVENT, Compared, EventDifference, PublishedRecord, TopicPartitionRef, What

_HOUR_MS: Final = 3_600_000
_MEASURES: Final = msgspec.json.Decoder(TenantHour)


@dataclass(slots=True)
class MeasuresAudit:
    """The expected measures of one partition, collected as digests while it is judged again.

    ``unwritten`` counts hours without any record: they have expired, or workers did not write measures then. A second
    record with the same bytes is no difference.
    """

    place: TopicPartitionRef
    unwritten: int = 0
    _expected: dict[int, dict[str, bytes]] = field(default_factory=dict)

    def collect(self, taken: TaskOutput) -> None:
        """Add the measures in an output."""
        for hour in taken.output.measures:
            of_hour = self._expected.setdefault(hour.hour_ms, {})
            of_hour.update((name.decode(), _digest(value)) for name, value in hour.rows())

    def compare(self, found: Iterable[PublishedRecord], from_ms: int, until_ms: int) -> Compared:
        """Compare the records ``found`` with the measures of the hours that end after ``from_ms``, up to ``until_ms``.

        At ``from_ms`` the measures of an hour may be written in part; so may those of the hour that ends at
        ``until_ms``.
        """
        result, hours = Compared(), dict[int, set[str]]()
        for record in found:
            try:
                measures = _MEASURES.decode(record.value or b"")
            except NO_EVENT as error:
                result.differences.append(
                    self._difference("invented", record.offset, "", f"expected measures: {error}")
                )
                continue
            hour_ms, tenant_id = measures.hour_ms, measures.tenant_id
            if not from_ms + 1 < hour_ms + _HOUR_MS <= until_ms:
                result.later += 1
                continue
            of_hour = hours.setdefault(hour_ms, set())
            what = self._what(record, hour_ms, tenant_id)
            if what is None:
                result.same += tenant_id not in of_hour
            else:
                result.differences.append(self._difference(what, record.offset, tenant_id, _hour(hour_ms)))
            of_hour.add(tenant_id)
        self._missing(result, hours, from_ms, until_ms)
        return result

    def notes(self) -> Iterator[str]:
        """Remarks on what was not compared."""
        if self.unwritten:
            yield f"{self.unwritten:,} hours have no measures: they have expired, or the workers did not write any then"

    def _what(self, record: PublishedRecord, hour_ms: int, tenant_id: str) -> What | None:
        expected = self._expected.get(hour_ms, {}).get(tenant_id)
        if expected is None:
            return "invented"
        as_expected = (record.key, _digest(record.value or b"")) == (tenant_id.encode(), expected)
        return None if as_expected and not record.headers else "changed"

    def _missing(self, result: Compared, hours: dict[int, set[str]], from_ms: int, until_ms: int) -> None:
        oldest_ms = min(hours, default=0)
        for hour_ms, expected in sorted(self._expected.items()):
            if not from_ms + 1 < hour_ms + _HOUR_MS < until_ms:
                continue
            if hour_ms not in hours:
                self.unwritten += 1
            elif hour_ms > oldest_ms:  # of the oldest, some may have expired
                for tenant_id in sorted(expected.keys() - hours[hour_ms]):
                    result.differences.append(self._difference("missing", None, tenant_id, _hour(hour_ms)))

    def _difference(self, what: What, offset: int | None, name: str, why: str) -> EventDifference:
        return EventDifference(what, *self.place, offset, name, None, (), decision=False, why=why)


def _hour(hour_ms: int) -> str:
    return f"measures of the hour from {rfc3339(hour_ms)}"


def _digest(value: bytes) -> bytes:
    return hashlib.blake2b(value, digest_size=16).digest()
