"""A shard under test: it takes records and calls at minutes from `T0`, and returns its decisions."""

from collections.abc import Iterable
from typing import Any

from helpers.shard_samples import MINUTE, T0, cdr, columns, policy_of
from monitor.core.decisions.pending_record import PendingRecord
from monitor.core.record_ref import RecordRef
from monitor.core.results import Output
from monitor.core.shard import Shard
from monitor.core.shard_state import ShardState
from schemas import codec
from schemas.inputs import Cdr
from schemas.outputs import Enforcement

SHORT = {"metric": "short_call_ratio", "above": 0.5, "window": "10m", "step": "5m", "behaviour": "blind_calling"}
CATALOGUE = [{"key": "loans", "zh": "贷款", "en": "loans", "terms": ["贷款"], "unless": []}]


def rule(name: str, **changes: Any) -> dict[str, Any]:
    """A rule on short calls, in breach from one short call on; ``changes`` replace fields."""
    return {"id": name, **SHORT, **changes}


def escalation(name: str = "strikes", **changes: Any) -> dict[str, Any]:
    """Three violations in an hour, to be reviewed; ``changes`` replace fields."""
    base = {"id": name, "count": "violations", "at_least": 3, "window": "60m", "tier": "major", "mode": "review"}
    return {**base, **changes}


class ShardHarness:
    """A shard under a policy of these sections. Times are minutes from `T0`; the tenant is ``acme`` unless another is
    named.
    """

    def __init__(self, **sections: Any) -> None:
        sections = {"prohibited_businesses": CATALOGUE, **sections}
        self.shard = Shard(policy_of(**sections))
        self.output = Output()
        self._serial = 0

    def _wait(self, type_: str, minute: float, **fields: Any) -> None:
        at_ms = T0 + round(minute * MINUTE)
        raw = {"type": type_, "tenant_id": "acme", "updated_ms": at_ms, **fields}
        self._serial += 1
        record = codec.convert(raw)
        assert not isinstance(record, Cdr)
        self._give(PendingRecord.of(record, at_ms, RecordRef(at_ms, 0, self._serial, self._serial), b"raw"))

    def _give(self, waiting: PendingRecord) -> None:
        self.shard.wait(waiting)

    def complaint(self, minute: float, status: str = "verified", name: str = "p1", **fields: Any) -> None:
        """A complaint, by default about leaked numbers (a warning)."""
        base = {"complaint_id": name, "category": "number_leak", "reported_ms": T0, "status": status}
        self._wait("complaint", minute, **{**base, **fields})

    def finding(self, minute: float, status: str = "confirmed", name: str = "f1", **fields: Any) -> None:
        """A finding, by default of calls without consent (a warning)."""
        self._wait("finding", minute, **{"finding_id": name, "behaviour": "no_consent", "status": status, **fields})

    def likely_ban(self, minute: float, name: str = "f1") -> None:
        """A finding that waits for a review: its text contains a term of the catalogue."""
        self.finding(minute, name=name, behaviour="undeclared_business", actual_business="小额贷款中介")

    def application(self, minute: float, business: str = "贷款", name: str = "n1", **fields: Any) -> None:
        """An application for numbers."""
        self._wait("application", minute, **{"application_id": name, "declared_business": business, **fields})

    def review(self, minute: float, verdict: str, of: Enforcement | str, name: str = "v1", **fields: Any) -> None:
        """A review of a decision, or of an id."""
        base = {"review_id": name, "reviewer": "ops", "reason": "", "verdict": verdict}
        event_id = of if isinstance(of, str) else of.id
        self._wait("review", minute, **{**base, "enforcement_id": event_id, **fields})

    def tenant(self, minute: float, name: str, **fields: Any) -> None:
        """A tenant record."""
        self._wait("tenant", minute, **{"name": name, "declared_businesses": [], "numbers": [], **fields})

    def short_calls(self, *minutes: float, tenant: str = "acme", talk_ms: int = 1_000) -> None:
        """Answered calls that end at these minutes after a second of talk."""
        made = []
        for minute in minutes:
            end = T0 + round(minute * MINUTE)
            self._serial += 1
            times = {"start_ms": end - talk_ms, "answer_ms": end - talk_ms, "end_ms": end}
            made.append(cdr(call_id=f"c{self._serial}", tenant_id=tenant, outcome="answered", **times))
        names, calls, _ = columns(made, self.shard.layout)
        self.shard.apply(names, calls, 0)

    def until(self, minute: float) -> list[Enforcement]:
        """The decisions up to this watermark."""
        self.shard.advance(T0 + round(minute * MINUTE))
        self.output = self.shard.output.take()
        return self.output.enforcement

    def rejected(self) -> list[str]:
        """The first word of each rejection since before the last `until`."""
        return [rejection.reason.split(":")[0] for rejection in self.output.rejected]


class StoredShardHarness(ShardHarness):
    """A harness whose shard stores its state and can be recreated from it."""

    def __init__(self, **sections: Any) -> None:
        super().__init__(**sections)
        self.policy = self.shard.policy
        self.shard = Shard(self.policy, keep_state=True)
        self.head = self.state.head()
        self.stored: dict[str, bytes] = {}
        self._given: list[PendingRecord] = []
        self._watermark_ms = 0

    @property
    def state(self) -> ShardState:
        """The state of its shard."""
        return ShardState(self.shard)

    def _give(self, waiting: PendingRecord) -> None:
        self._given.append(waiting)
        super()._give(waiting)

    def until(self, minute: float) -> list[Enforcement]:
        """The decisions up to this watermark."""
        self._watermark_ms = T0 + round(minute * MINUTE)
        return super().until(minute)

    def store(self) -> dict[str, bytes | None]:
        """Store the changes; return them."""
        self.head, changes = self.state.head(), self.state.changes()
        self.stored = {key: blob for key, blob in (self.stored | changes).items() if blob is not None}
        return changes

    def restored(self) -> Shard:
        """A second shard, recreated from the stored state."""
        shard = Shard(self.policy, keep_state=True)
        ShardState(shard).restore(self.head, self.stored)
        return shard

    def restart(self) -> None:
        """Continue with a recreated shard, which reads the records again that were waiting."""
        self.store()
        self.shard = self.restored()
        for waiting in self._given:
            if waiting.at_ms >= self._watermark_ms:
                self.shard.wait(waiting)


def summaries(events: Iterable[Enforcement]) -> list[tuple[str, str, str, float]]:
    """Events as ``(kind, status, rule, minute)``."""
    return [(e.data.kind, e.data.status, e.data.rule_id, (e.data.decided_ms - T0) / MINUTE) for e in events]
