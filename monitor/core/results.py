"""The output buffer of a shard: its output since the buffer was last emptied."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from monitor.byte_rows import ByteRows
from monitor.core.record_ref import RecordRef
from schemas.outputs import Alert, Enforcement, JudgedWindow
from schemas.owners import OwnerBan

_LONG_EVIDENCE = 1_000  # characters; twenty ids of ordinary length have fewer


@dataclass(slots=True)
class RejectedRecord:
    """A valid record that was rejected when it was decided.

    ``ref`` is where it was read, ``raw`` its original bytes, ``signature`` the header that signed it, if any.
    """

    ref: RecordRef
    tenant_id: str
    reason: str
    raw: bytes
    signature: bytes | None = None


@dataclass(frozen=True, slots=True)
class WantedOutput:
    """What a shard writes besides decisions: each evaluated window (``windows``), and the measures of each hour."""

    windows: bool = False
    measures: bool = False


DECISIONS_ONLY: Final = WantedOutput()


class HourMeasures(NamedTuple):
    """What the rules measured of some tenants in an hour, by id.

    Of each tenant the id, in UTF-8, and a `schemas.measures.TenantHour`. An object for each would cost more than both.
    """

    hour_ms: int
    tenant_ids: ByteRows
    values: ByteRows

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        """The id and the value of each tenant."""
        return zip(self.tenant_ids, self.values, strict=True)  # type: ignore[arg-type]  # none is None


@dataclass(slots=True)
class Output:
    """Decisions and the related output, in decision order. ``duplicates`` counts duplicate records.

    ``owner_bans`` are the bans of owners by the decisions on their tenants, and the liftings of these bans. ``places``
    has, by id of a decision, the known places of the records that it names.
    """

    enforcement: list[Enforcement] = field(default_factory=list)
    shadow: list[Enforcement] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    windows: list[JudgedWindow] = field(default_factory=list)
    rejected: list[RejectedRecord] = field(default_factory=list)
    duplicates: int = 0
    owner_bans: list[OwnerBan] = field(default_factory=list)
    places: dict[str, tuple[int, ...]] = field(default_factory=dict)
    measures: list[HourMeasures] = field(default_factory=list)

    def take(self) -> "Output":
        """Return the output since the last call, and empty the buffer."""
        decisions = self.enforcement, self.shadow, self.alerts
        others = self.owner_bans, self.places, self.measures
        taken = Output(*decisions, self.windows, self.rejected, self.duplicates, *others)
        self.enforcement, self.shadow, self.alerts, self.owner_bans = [], [], [], []
        self.windows, self.rejected, self.duplicates, self.places, self.measures = [], [], 0, {}, []
        return taken

    def mark(self) -> tuple[int, int, int, int]:
        """The current lengths, for `by_tenant` and `weight`."""
        return len(self.enforcement), len(self.shadow), len(self.alerts), len(self.owner_bans)

    def weight(self, mark: tuple[int, int, int, int]) -> int:
        """The number of decisions and alerts since ``mark``. One with long ids in its evidence counts as several."""
        decided, shadowed, alerted, _ = mark
        events = [*self.enforcement[decided:], *self.shadow[shadowed:]]
        long = sum(sum(map(len, event.data.evidence.call_ids)) // _LONG_EVIDENCE for event in events)
        return len(events) + len(self.alerts) - alerted + long

    def by_tenant(self, mark: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
        """Sort the output since ``mark`` by tenant id, and return the current mark. The sort is stable within a tenant.

        Tenant numbers follow the order of first read, which a restart may change.
        """
        now = self.mark()
        if now == mark:
            return now
        decided, shadowed, alerted, banned = mark
        self.enforcement[decided:] = sorted(self.enforcement[decided:], key=lambda event: event.subject)
        self.shadow[shadowed:] = sorted(self.shadow[shadowed:], key=lambda event: event.subject)
        self.alerts[alerted:] = sorted(self.alerts[alerted:], key=lambda alert: alert.tenant_id)
        self.owner_bans[banned:] = sorted(self.owner_bans[banned:], key=lambda ban: ban.tenant_id)
        return now
