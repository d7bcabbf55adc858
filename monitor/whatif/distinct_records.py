"""Which records reports count: no call twice, none of the future. Late calls were made all the same."""

from typing import Final

from schemas import codec
from schemas.inputs import Cdr, Record

_BEFORE_ALL: Final = -(1 << 62)
_AFTER_ALL: Final = 1 << 62
_LEAST_IDS: Final = 10_000


class DistinctRecords:
    """Follows the clocks of ``sources`` and the ids of their calls, by the rules of a replay.

    As there, late calls are not recognised when they come again. Memory: the ids of the calls that are at most
    ``lateness_ms`` behind the clock of the source that is furthest behind.
    """

    def __init__(self, lateness_ms: int, sources: int = 1) -> None:
        self._lateness_ms = lateness_ms
        self._clocks_ms = [_BEFORE_ALL] * sources
        self._ids: dict[tuple[str, str], int] = {}
        self._room = _LEAST_IDS

    def take(self, record: Record, not_after_ms: int | None, *, source: int = 0, clock_ms: int = _AFTER_ALL) -> bool:
        """Whether the next record of a source, which moves its clock at most to ``clock_ms``, counts."""
        event_ms = codec.event_time(record)
        if not_after_ms is not None and event_ms > not_after_ms:
            return False
        self._clocks_ms[source] = max(self._clocks_ms[source], min(event_ms, clock_ms))
        if not isinstance(record, Cdr):
            return True
        late_ms = self._clocks_ms[source] - self._lateness_ms
        if event_ms < late_ms:
            return True
        key = record.tenant_id, record.call_id
        if self._ids.get(key, _BEFORE_ALL) >= late_ms:
            return False
        self._ids[key] = event_ms
        if len(self._ids) > self._room:
            self._forget()
        return True

    def end(self, source: int) -> None:
        """The source has no more records."""
        self._clocks_ms[source] = _AFTER_ALL

    def _forget(self) -> None:
        least_ms = min(self._clocks_ms) - self._lateness_ms
        self._ids = {key: event_ms for key, event_ms in self._ids.items() if event_ms >= least_ms}
        self._room = max(_LEAST_IDS, 2 * len(self._ids))
