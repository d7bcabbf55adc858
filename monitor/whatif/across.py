"""Across tenants: what no single tenant's records show. A report for people; it decides nothing.

Memory is bounded, regardless of the input: if there are too many keys, a sample is kept, whose share is stated. The
numbers that a tenant called are kept as a sketch.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import sqrt
from os import PathLike
from typing import Final
from zoneinfo import ZoneInfo

from monitor.adapters.base import Adapter
from monitor.policy.model import Policy
from monitor.replay.run import ReplayOptions, replay
from monitor.whatif.key_sample import KeyedHash, KeySample, Sketch, in_common, pairs_in_common
from monitor.whatif.record_rows import inspected
from schemas.inputs import Cdr, Tenant
from schemas.outputs import Enforcement

MOST_SHOWN: Final = 1_000
"""The most items of each list of the report; the numbers of all are stated."""
LEAST_SHARED: Final = 20
LEAST_SHARE: Final = 0.2
FAR_BEYOND: Final = 6.0
"""An overlap is reported from 20 common numbers on, if they are a fifth of the smaller set, and six standard deviations
above what chance gives: if each tenant drew its numbers at random out of all numbers that any tenant called, two that
called a and b of n would have a * b / n in common, with at most that variance (hypergeometric distribution)."""
_MOST_HOLDERS: Final = 50


@dataclass(frozen=True, slots=True)
class JointCallee:
    """A number that several tenants of one owner called on one day, together more often than ``callee_limit``."""

    owner_id: str
    callee: str
    day: str
    attempts: dict[str, int]


@dataclass(frozen=True, slots=True)
class ReusedCaller:
    """A caller number that a banned tenant used, and that another tenant used after the ban."""

    caller: str
    banned_tenant_id: str
    enforcement_id: str
    banned_ms: int
    tenant_id: str
    last_ms: int


@dataclass(frozen=True, slots=True)
class SharedConsent:
    """A consent id that several tenants gave for answered calls, with the calls of each."""

    consent_id: str
    calls: dict[str, int]


@dataclass(frozen=True, slots=True)
class Overlap:
    """Two tenants that called the same numbers: how many in common, and how many chance gives."""

    tenant_ids: tuple[str, str]
    callees: tuple[float, float]
    in_common: float
    by_chance: float
    deviations: float


@dataclass(frozen=True, slots=True)
class AcrossReport:
    """The findings, each list with the most important first, and the share of keys that each list rests on."""

    records: int
    tenants: int
    joint_callees: Sequence[JointCallee]
    reused_callers: Sequence[ReusedCaller]
    shared_consents: Sequence[SharedConsent]
    overlaps: Sequence[Overlap]
    callees_kept: float
    callers_kept: float
    consents_kept: float


class SharedUse:
    """Counts what tenants have in common, record by record. ``limit`` is the joint limit of attempts to a callee.

    Calls that come again must be left out. ``key`` is that of the hashes by which keys are sampled, see `KeyedHash`.
    """

    def __init__(self, limit: int, timezone: str, key: bytes) -> None:
        self._limit, self._zone = limit, ZoneInfo(timezone)
        self._hash = KeyedHash(key)
        self._callees, self._callers, self._consents = (KeySample(self._hash) for _ in range(3))
        self._sketches: dict[str, Sketch] = {}
        self._everywhere = Sketch()
        self._owners: dict[str, tuple[int, str | None]] = {}
        self.records = 0

    def add(self, record: object) -> None:
        """Count a record."""
        self.records += 1
        if isinstance(record, Tenant):
            if record.updated_ms >= self._owners.get(record.tenant_id, (-1, None))[0]:
                self._owners[record.tenant_id] = (record.updated_ms, record.owner_id)
        elif isinstance(record, Cdr) and record.direction == "outbound" and record.outcome != "policy_blocked":
            self._call(record)

    def _call(self, call: Cdr) -> None:
        tenant = call.tenant_id
        day = datetime.fromtimestamp(call.start_ms / 1000, UTC).astimezone(self._zone).date().isoformat()
        self._callees.add((call.callee, day), tenant, call.end_ms)
        self._callers.add((call.caller,), tenant, call.end_ms)
        if call.consent_id and call.outcome == "answered":
            self._consents.add((call.consent_id,), tenant, call.end_ms)
        number = self._hash.of(call.callee)
        self._sketches.setdefault(tenant, Sketch()).add(number)
        self._everywhere.add(number)

    def report(self, bans: Iterable[Enforcement]) -> AcrossReport:
        """The findings. ``bans`` are the final bans in force."""
        return AcrossReport(
            self.records,
            len(self._sketches.keys() | self._owners.keys()),
            sorted(self._joint(), key=lambda one: (-sum(one.attempts.values()), one.owner_id, one.callee, one.day)),
            sorted(self._reused(bans), key=lambda one: (one.banned_ms, one.caller, one.tenant_id)),
            sorted(self._shared(), key=lambda one: (-len(one.calls), -sum(one.calls.values()), one.consent_id)),
            sorted(self._overlapping(), key=lambda one: (-one.deviations, one.tenant_ids)),
            self._callees.share,
            self._callers.share,
            self._consents.share,
        )

    def _joint(self) -> Iterator[JointCallee]:
        for (callee, day), uses in self._callees.shared():
            by_owner: dict[str, dict[str, int]] = {}
            for tenant, use in sorted(uses.items()):
                owner = self._owners.get(tenant, (0, None))[1]
                if owner:
                    by_owner.setdefault(owner, {})[tenant] = use.count
            for owner, attempts in by_owner.items():
                if len(attempts) > 1 and sum(attempts.values()) > self._limit:
                    yield JointCallee(owner, callee, day, attempts)

    def _reused(self, bans: Iterable[Enforcement]) -> Iterator[ReusedCaller]:
        banned: dict[str, Enforcement] = {}
        for ban in bans:
            first = banned.setdefault(ban.subject, ban)
            if ban.data.decided_ms < first.data.decided_ms:
                banned[ban.subject] = ban
        for (caller,), uses in self._callers.shared():
            for former in sorted(uses.keys() & banned.keys()):
                ban = banned[former]
                at_ms = ban.data.decided_ms
                for tenant, use in sorted(uses.items()):
                    if tenant not in banned and use.last_ms > at_ms:
                        yield ReusedCaller(caller, former, ban.id, at_ms, tenant, use.last_ms)

    def _shared(self) -> Iterator[SharedConsent]:
        for (consent_id,), uses in self._consents.shared():
            yield SharedConsent(consent_id, {tenant: use.count for tenant, use in sorted(uses.items())})

    def _overlapping(self) -> Iterator[Overlap]:
        everywhere = max(self._everywhere.size, 1.0)
        for pair in pairs_in_common(sorted(self._sketches.items()), _MOST_HOLDERS):
            a, b = (self._sketches[name] for name in pair)
            common, chance = in_common(a, b), a.size * b.size / everywhere
            deviations = (common - chance) / sqrt(max(chance, 1.0))
            enough = common >= max(LEAST_SHARED, LEAST_SHARE * min(a.size, b.size))
            if enough and deviations > FAR_BEYOND:
                yield Overlap(pair, (a.size, b.size), common, chance, deviations)


def across(
    paths: Sequence[str | PathLike[str]],
    policy: Policy,
    adapters: Sequence[Adapter | None],
    key: bytes,
    not_after_ms: int | None = None,
) -> AcrossReport:
    """Judge files by the policy, which gives the bans, and report what their tenants have in common.

    ``key``: see `SharedUse`. Later records than ``not_after_ms`` are rejected. Raises what `replay` raises for files
    that cannot be read.
    """
    use = SharedUse(policy.params.callee_limit, policy.params.timezone, key)
    read = inspected(adapters, policy.lateness_ms, not_after_ms, use.add)
    outcome = replay(paths, policy, ReplayOptions(not_after_ms=not_after_ms), adapter=read)
    return use.report(standing_bans(outcome.enforcement))


def standing_bans(events: Iterable[Enforcement]) -> list[Enforcement]:
    """The final bans among these events that no other event reverses or supersedes."""
    events = list(events)
    replaced = {one for event in events for one in (event.data.reverses, event.data.supersedes) if one}
    bans = [event for event in events if event.data.kind == "ban" and event.data.status == "final"]
    return [ban for ban in bans if ban.id not in replaced]
