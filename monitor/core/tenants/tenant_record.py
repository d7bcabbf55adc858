"""Tenant record: the complaints, findings, decisions and violations of one tenant."""

from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from typing import Any, Final

from msgspec import Struct, field

from monitor.core.record_places import pack_places, renumbered_place, unpack_places
from monitor.core.tenants.complaints import ComplaintEntry
from monitor.core.tenants.ids import Origin
from monitor.core.tenants.record_pages import PagedRecords, Pages
from monitor.core.tenants.seen_versions import UNPLACED, SeenVersions, VersionRun
from schemas.inputs import Tenant
from schemas.outputs import Evidence, Kind, Measure, Reason, TierName, Window

COMPLAINTS: Final = "c"
FINDINGS: Final = "q"
VERSIONS: Final = "v"
CASES: Final = "d"
OWNERS: Final = "o"
MOST_SUPERSEDED: Final = 20  # ids; else each change of a case's kind would make the page of the case longer
PAGE_SIZES: Final = {COMPLAINTS: 32, FINDINGS: 32, VERSIONS: 16, CASES: 8, OWNERS: 32}
"""The kinds of items in a tenant record, and the number of each in a page: usually a few kilobytes."""

_DIGEST_BYTES: Final = 16  # of a declared business, whose text can have 16 KB


class RecordedViolation(Struct, gc=False):
    """One final decision with ``record_violation``. ``origin`` is the type and id of its deciding record.

    ``counts`` is false for the decisions of escalations. ``used_by`` maps each escalation that used the violation to
    the first id of its case.
    """

    id: str
    decided_ms: int
    origin: Origin
    counts: bool
    used_by: dict[str, str] = field(default_factory=dict)


class DecisionCase(Struct, gc=False, omit_defaults=True):
    """A decision and its state: pending, final, or closed (reversed or lapsed).

    ``pending_id`` and ``final_id`` are the ids of its events; an upheld decision has both. ``closing_id`` is the id of
    the reversal or lapse. ``measured`` is true for a decision by a measured rule; ``escalation`` is the id of the
    escalation that made it, ``once_per_rule`` how that one counts. ``frozen``: whether the event in force froze
    refunds. ``violation`` is the recorded one.
    ``owner`` is the owner whom the ban in force bans.

    If a review has changed the kind of a final decision: ``superseded_ids`` are its newest earlier final ids,
    ``reviews`` the newest reviews with their times, and ``grounds`` the reason before the first such review.

    Until it is closed, ``places`` are those of the records in its evidence without the reviews (`pack_places`), and
    ``review_places`` those of the reviews, by id.
    """

    first_id: str
    status: str  # "pending", "final", "closed"
    kind: Kind
    behaviour: str
    clause: int | None
    tier: TierName | None
    rule_id: str
    decided_ms: int
    last_ms: int
    review_by_ms: int | None
    frozen: bool
    window: Window | None
    measure: Measure | None
    evidence: Evidence
    reason: Reason
    pending_id: str | None = None
    final_id: str | None = None
    closing_id: str | None = None
    measured: bool = False
    escalation: str | None = None
    violation: RecordedViolation | None = None
    page: int = 0
    owner: str | None = None
    superseded_ids: tuple[str, ...] = ()
    reviews: tuple[tuple[int, str], ...] = ()
    grounds: Reason | None = None
    once_per_rule: bool = False
    places: bytes = b""
    review_places: dict[str, int] = {}  # msgspec copies it

    @property
    def record_places(self) -> tuple[int, ...]:
        """The places of the records in its evidence, in the order of their ids."""
        reviews = [self.review_places[name] for name in self.evidence.review_ids if name in self.review_places]
        return (*unpack_places(self.places), *reviews)

    @property
    def event_ids(self) -> set[str]:
        """The ids of all its events."""
        return {self.first_id, *filter(None, (self.pending_id, self.final_id, self.closing_id)), *self.superseded_ids}

    @property
    def id(self) -> str:
        """The id in force: that of the final event if there is one, else that of the pending event."""
        in_force = self.final_id or self.pending_id
        assert in_force is not None
        return in_force


class FindingEntry(Struct, gc=False):
    """One finding."""

    finding_id: str
    last_ms: int
    statuses: list[str]
    case: str | None = None
    page: int = 0

    @property
    def dismissed(self) -> bool:
        """Whether it was ever dismissed. A dismissal is permanent."""
        return "dismissed" in self.statuses


class NamedOwner(Struct, gc=False):
    """An owner that a record of the tenant has named."""

    owner_id: str
    page: int = 0


class TenantRecord(Struct, gc=False, eq=False):
    """One tenant. ``cases`` is keyed by the id of the first event; ``case_of`` maps every event id to that id.

    ``waiting`` maps the ids of applications that wait to the first id of their case.
    ``sanctions`` maps the first id of each final termination or ban in force to its kind. ``cooldown_until_ms`` maps
    the keys of `monitor.core.decisions.cooldowns` to the end of the cool-down. ``name``, its time ``name_ms``,
    ``owner`` and ``businesses``, the digests of the declared ones, are those of the newest `tenant` input. The tenant
    belongs to all ``owners`` that its records have named.

    Items that grow with the records of a tenant are held in `Pages`, as they are stored. Call `touch` for every change
    to an entry of ``complaints``, ``findings``, ``seen`` or ``cases``.
    """

    tenant_id: str
    tenant: int
    name: str | None = None
    name_ms: int = -1
    cooldown_until_ms: dict[str, int] = {}  # msgspec copies it, and those below
    businesses: bytes = b""
    owner: str | None = None
    owners: dict[str, NamedOwner] = {}
    complaints: dict[str, ComplaintEntry] = {}
    findings: dict[str, FindingEntry] = {}
    seen: dict[str, SeenVersions] = {}
    cases: dict[str, DecisionCase] = {}
    case_of: dict[str, str] = {}
    violations: dict[str, RecordedViolation] = {}
    sanctions: dict[str, str] = {}
    waiting: dict[str, str] = {}
    _bans: int = 0
    _pages: dict[str, Pages[Any]] = {}
    _changed: bool = True

    # Updates ----------------------------------------------------------------------------------------------------

    def register(self, tenant: Tenant) -> list[str]:
        """Take over the newest `tenant` input. Returns the businesses that the preceding one did not declare."""
        before = _digests_in(self.businesses)
        digests = {_digest(text): text for text in tenant.declared_businesses}
        self.name, self.name_ms, self.businesses = tenant.name or None, tenant.updated_ms, b"".join(digests)
        self.owner, self._changed = tenant.owner_id or None, True
        return [text for digest, text in digests.items() if digest not in before]

    def belong(self, owner_id: str) -> bool:
        """Add an owner to whom the tenant belongs. Returns whether it is a new one."""
        if owner_id in self.owners:
            return False
        self.owners[owner_id] = named = NamedOwner(owner_id)
        self.place(OWNERS, named)
        return True

    def extend_cooldown(self, key: str, until_ms: int) -> int:
        """Extend the cool-down of a key to at least ``until_ms``. Returns its end."""
        self.cooldown_until_ms[key] = max(self.cooldown_until_ms.get(key, 0), until_ms)
        self._changed = True
        return self.cooldown_until_ms[key]

    def stop(self, case: DecisionCase) -> None:
        """Record a final termination or ban."""
        self.sanctions[case.first_id] = case.kind
        self._bans += case.kind == "ban"

    def release(self, case: DecisionCase) -> bool:
        """Remove a case that is no longer in force. Returns whether it was a final termination or ban."""
        kind = self.sanctions.pop(case.first_id, None)
        self._bans -= kind == "ban"
        return kind is not None

    def supersede(self, case: DecisionCase, final_id: str) -> None:
        """Keep an earlier final id of a case, so that a review may name it; of many, the first and the newest."""
        ids = (*case.superseded_ids, final_id)
        case.superseded_ids = ids[-MOST_SUPERSEDED:]
        for old in ids[:-MOST_SUPERSEDED]:
            if old != case.first_id:
                del self.case_of[old]

    @property
    def banned(self) -> bool:
        """Whether a final ban is in force."""
        return self._bans > 0

    def take_version(self, key: str, version: int, at_ms: int) -> bool:
        """Add a new version of the record with that key. Returns whether it is the first version."""
        seen = self.seen.get(key)
        if seen is None:
            run = VersionRun(key, at_ms, [version])
            self.seen[key] = SeenVersions([run])
            self.place(VERSIONS, run)
            return True
        for run in seen.take(version, at_ms):
            if run.page == UNPLACED:
                self.place(VERSIONS, run)
            else:
                self.touch(VERSIONS, run)
        return False

    # Pages ------------------------------------------------------------------------------------------------------

    def place(self, kind: str, item: PagedRecords) -> None:
        """Add a new item of that kind to its pages."""
        self._of(kind).add(item)

    def touch(self, kind: str, item: PagedRecords) -> None:
        """Mark the page of an item as changed, before or after the change."""
        self._pages[kind].touch(item)

    def forget(self, kind: str, key: str) -> None:
        """Delete a complaint, finding, seen record or case."""
        pages = self._pages[kind]
        match kind:
            case "c":
                pages.remove(self.complaints.pop(key))
            case "q":
                pages.remove(self.findings.pop(key))
            case "v":
                for run in self.seen.pop(key).runs:
                    pages.remove(run)
            case "d":
                case = self.cases.pop(key)
                for event_id in case.event_ids:
                    del self.case_of[event_id]
                pages.remove(case)

    def last_ms(self, kind: str, key: str) -> int:
        """The event time of the last record of a complaint, finding or seen record."""
        last_ms: int = self._entries(kind)[key].last_ms
        return last_ms

    def kept(self) -> Iterator[tuple[str, str, int]]:
        """The kind, key and `last_ms` of all complaints, findings and seen records."""
        for kind in (COMPLAINTS, FINDINGS, VERSIONS):
            for key, entry in self._entries(kind).items():
                yield kind, key, entry.last_ms

    def _entries(self, kind: str) -> Mapping[str, Any]:
        if kind == COMPLAINTS:
            return self.complaints
        return self.findings if kind == FINDINGS else self.seen

    def changes(self) -> tuple[bool, list[tuple[str, int, list[Any] | None]]]:
        """The changes since the last call: whether any field outside the pages changed, and the changed pages.

        None marks a removed page.
        """
        changed, self._changed = self._changed, False
        pages = self._pages
        return changed, [(kind, number, items) for kind in sorted(pages) for number, items in pages[kind].changed()]

    def renumber(self, tenant: int) -> None:
        """Change the tenant number, and mark everything to be stored under it."""
        self.tenant, self._changed = tenant, True
        for complaint in self.complaints.values():
            complaint.tenant = tenant
        for pages in self._pages.values():
            pages.mark_all()

    def renumber_logs(self, logs: dict[int, int]) -> None:
        """Change the numbers of the logs in all places. Call `renumber`, too, so that everything is stored."""
        for complaint in self.complaints.values():
            complaint.record_place = renumbered_place(complaint.record_place, logs)
        for case in self.cases.values():
            case.places = pack_places(renumbered_place(place, logs) for place in unpack_places(case.places))
            case.review_places = {name: renumbered_place(place, logs) for name, place in case.review_places.items()}

    def load(self, kind: str, number: int, items: Iterable[Any]) -> None:
        """Load a stored page. Call this in ascending order of page numbers for each kind, then call `loaded`."""
        items = list(items)
        self._of(kind).load(number, items)
        match kind:
            case "c":
                self.complaints.update((entry.complaint_id, entry) for entry in items)
            case "q":
                self.findings.update((entry.finding_id, entry) for entry in items)
            case "v":
                for run in items:
                    self.seen.setdefault(run.key, SeenVersions([])).runs.append(run)
            case "d":
                for case in items:
                    self._load_case(case)
            case "o":
                self.owners.update((named.owner_id, named) for named in items)

    def loaded(self) -> None:
        """Finish loading, after all pages."""
        self._changed = False
        for seen in self.seen.values():
            seen.runs.sort(key=lambda run: run.versions[0])

    def _load_case(self, case: DecisionCase) -> None:
        self.cases[case.first_id] = case
        self.case_of.update(dict.fromkeys(case.event_ids, case.first_id))
        if case.violation is not None:
            self.violations[case.violation.id] = case.violation
        if case.status == "final" and case.kind in ("termination", "ban"):
            self.stop(case)

    def _of(self, kind: str) -> Pages[Any]:
        pages = self._pages.get(kind)
        if pages is None:
            pages = self._pages[kind] = Pages(PAGE_SIZES[kind])
        return pages


def _digest(text: str) -> bytes:
    return sha256(text.encode()).digest()[:_DIGEST_BYTES]


def _digests_in(joined: bytes) -> set[bytes]:
    return {joined[start : start + _DIGEST_BYTES] for start in range(0, len(joined), _DIGEST_BYTES)}
