"""Handlers for records that are not calls: complaints, findings, tenants, applications and reviews."""

import heapq
from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Literal, NamedTuple

from monitor import reasons
from monitor.core.decisions.lifecycle import DecisionLifecycle
from monitor.core.record_ref import RecordRef
from monitor.core.results import Output, RefusedRecord
from monitor.core.tenants.complaints import ComplaintEntry, ComplaintWindow
from monitor.core.tenants.heaps import in_order, those_before
from monitor.core.tenants.ids import Origin
from monitor.core.tenants.tenant_record import COMPLAINTS, FINDINGS, VERSIONS, FindingEntry, TenantRecord
from monitor.core.tenants.tenant_records import TenantRecords
from monitor.policy.catalogue import Catalogue, Match
from monitor.policy.model import Policy
from schemas.inputs import Application, Complaint, Finding, Review, Tenant
from schemas.outputs import Evidence

_ORDER = 5  # the fields of a `PendingRecord` that make the decision order

Other = Complaint | Finding | Tenant | Application | Review

# The order of records at one instant: by type, then by id, then by status (section 3 of the contract).
_TYPE_ORDER = {Tenant: 0, Application: 1, Complaint: 2, Finding: 3, Review: 4}
_STATUS_ORDER = {
    "received": 0,
    "suspected": 0,
    "verified": 1,
    "confirmed": 1,
    "dismissed": 2,
    "uphold": 0,
    "overturn": 1,
}

# The behaviour of a verified complaint by category; `other` only counts.
_BEHAVIOUR_OF = {
    "fraud": "verified_fraud_complaint",
    "harassment": "verified_harassment_complaint",
    "abuse": "in_call_abuse",
    "no_consent": "no_consent",
    "number_leak": "blind_calling",
    "prohibited_business": "undeclared_prohibited_business",
}


# The versions of a review, to detect duplicates. Stored by index: only append.
_VERDICTS = ("uphold", "overturn")


class PendingRecord(NamedTuple):
    """A record that waits for the watermark. The fields before ``record`` form the decision order.

    ``ref`` is where it was read, and breaks ties by reading order. ``at_ms`` is its event time, raised to the late line
    of its source if it came below that line.
    """

    at_ms: int
    type_order: int
    id: str
    status_order: int
    ref: RecordRef
    record: Other
    raw: bytes

    @property
    def place(self) -> "Place":
        """Its place in the decision order."""
        return self[:_ORDER]

    @property
    def weight(self) -> int:
        """The cost to decide it, in records without a text to match against the catalogue."""
        match self.record:
            case Application(declared_business=business, scenario=scenario):
                texts = business + (scenario or "")
            case Finding(actual_business=business):
                texts = business or ""
            case _:
                return 1
        # Normalisation expands a character to up to 6 characters, and each of these two to up to 18.
        return 1 + len(texts) // (6 if "\ufdfa" in texts or "\ufdfb" in texts else 30)

    @classmethod
    def of(cls, record: Other, at_ms: int, ref: RecordRef, raw: bytes) -> "PendingRecord":
        """Create the pending form of ``record``. ``raw`` holds its original bytes."""
        status = getattr(record, "status", None) or getattr(record, "verdict", None) or ""
        return cls(
            at_ms,
            _TYPE_ORDER[type(record)],
            id_of(record),
            _STATUS_ORDER.get(status, 0),
            ref,
            record,
            raw,
        )


Place = tuple[Any, ...]
"""A place in the decision order: the first fields of a `PendingRecord`, which compares with it."""


class UndecidableError(Exception):
    """Deciding the record at ``ref`` raised an unexpected error, which is the cause of this one."""

    def __init__(self, ref: RecordRef) -> None:
        super().__init__(f"the record at offset {ref.offset}")
        self.ref = ref


def id_of(record: Other) -> str:
    """The record's own id."""
    match record:
        case Complaint():
            return record.complaint_id
        case Finding():
            return record.finding_id
        case Application():
            return record.application_id
        case Review():
            return record.review_id
        case Tenant():
            return record.tenant_id


class RecordHandlers:
    """Holds the waiting records, and decides them one by one in decision order.

    ``number_of`` returns the number of a tenant, and assigns one if needed. Records before ``from_ms`` are kept, but
    decide nothing.
    """

    def __init__(
        self,
        policy: Policy,
        catalogue: Catalogue,
        decisions: DecisionLifecycle,
        windows: Iterable[ComplaintWindow],
        standings: TenantRecords,
        number_of: Callable[[str], int],
        sink: Output,
    ) -> None:
        self._policy = policy
        self._catalogue = catalogue
        self._decisions = decisions
        self._windows = list(windows)
        self._counting = [window for window in self._windows if window.counting]
        self._standings = standings
        self._number_of = number_of
        self._sink = sink
        self.from_ms = 0
        self._waiting: list[PendingRecord] = []  # a heap
        self._arrived: defaultdict[int, deque[PendingRecord]] = defaultdict(
            deque
        )  # by source, from its first waiting record
        self.decided: Place = ()  # the last one decided
        # A heap with one entry per kept item: (time of its last record or an earlier one, tenant, kind, key).
        self._to_forget: list[tuple[int, int, str, str]] = []

    def wait(self, waiting: PendingRecord) -> None:
        """Add a record to decide at its event time. Records of a source must come in its order."""
        heapq.heappush(self._waiting, waiting)
        source = waiting.ref.source
        self._arrived[source].append(waiting)
        self._first_waiting(source)

    def __len__(self) -> int:
        return len(self._waiting)

    def waiting(self) -> list[PendingRecord]:
        """The waiting records, by source and offset."""
        return sorted(self._waiting, key=lambda waiting: (waiting.ref.source, waiting.ref.offset))

    def next_at(self, before: Place) -> int | None:
        """The event time of the first waiting record; None if it does not come before ``before``."""
        return self._waiting[0].at_ms if self._waiting and self._waiting[0] < before else None

    def beyond(self, most: int, before: Place) -> Place | None:
        """The place of the first waiting record that has records of a total weight of at least ``most`` before it.

        None if there is none, or if it does not come before ``before``.
        """
        if sum(waiting.weight for waiting in islice(self._waiting, most + 1)) <= most:
            return None  # the usual case: few records wait
        weight = 0
        for found in in_order(self._waiting):
            if weight >= max(most, 1):
                return found.place if found < before else None
            weight += found.weight
        return None

    def due(self, before: Place, most: int) -> int:
        """The weight of the waiting records that come before ``before``, counted up to ``most``."""
        weight = 0
        for waiting in those_before(self._waiting, before):
            weight += waiting.weight
            if weight >= most:
                return most
        return weight

    def complaints(self) -> Iterator[PendingRecord]:
        """The waiting complaints, in any order."""
        return (one for one in self._waiting if isinstance(one.record, Complaint))

    def waiting_since(self) -> dict[int, tuple[int, int]]:
        """For each source with waiting records: the offset of the first of them, and the source's clock before it."""
        first = {source: self._first_waiting(source) for source in self._arrived}
        return {
            source: (waiting.ref.offset, waiting.ref.clock_ms)
            for source, waiting in first.items()
            if waiting is not None
        }

    def _first_waiting(self, source: int) -> PendingRecord | None:
        arrived = self._arrived[source]
        while arrived and arrived[0].place <= self.decided:
            arrived.popleft()
        return arrived[0] if arrived else None

    def decide_next(self) -> bool:
        """Decide the first waiting record. Returns whether it may have changed a window, that is, is a complaint.

        Raises UndecidableError if the decision raises any error.
        """
        waiting = heapq.heappop(self._waiting)
        self.decided = waiting.place
        self.forget(waiting.at_ms)
        try:
            self._decide(waiting)
        except Exception as error:
            raise UndecidableError(waiting.ref) from error
        return isinstance(waiting.record, Complaint)

    def _decide(self, waiting: PendingRecord) -> None:
        standing = self._standings.of(self._number_of(waiting.record.tenant_id))
        match waiting.record:
            case Complaint() as complaint:
                self._complaint(standing, complaint, waiting.at_ms)
            case Finding() as finding:
                self._finding(standing, finding, waiting)
            case Review() as review:
                self._review(standing, review, waiting)
            case Application() as application:
                self._application(standing, application, waiting.at_ms)
            case Tenant() as tenant:
                self._tenant(standing, tenant, waiting.at_ms)

    def _complaint(self, standing: TenantRecord, complaint: Complaint, at_ms: int) -> None:
        entry = standing.complaints.get(complaint.complaint_id)
        if entry is not None and entry.has(complaint.status):
            self._sink.duplicates += 1
            return
        new = entry is None
        if entry is None:
            entry = ComplaintEntry.of(complaint, standing.tenant, at_ms)
            standing.complaints[complaint.complaint_id] = entry
            standing.place(COMPLAINTS, entry)
            self._remember(at_ms, standing, COMPLAINTS, complaint.complaint_id)
        elif complaint.updated_ms >= entry.written_ms and (complaint.complainant or None) != entry.complainant:
            for window in self._counting:
                window.renamed(entry, complaint.complainant or None)
        was_dismissed = entry.dismissed
        standing.touch(COMPLAINTS, entry)
        entry.take(complaint, at_ms)
        for window in self._windows:
            window.record(at_ms, standing.tenant)
        for window in self._counting:
            if new:
                window.first(entry)
            if complaint.status == "verified":
                window.verified(entry)
            if complaint.status == "dismissed":
                window.dismissed(entry)

        origin = Origin("complaint", complaint.complaint_id)
        decides = complaint.status == "verified" and not was_dismissed and at_ms >= self.from_ms
        if decides and complaint.category in _BEHAVIOUR_OF:
            behaviour = self._policy.behaviours[_BEHAVIOUR_OF[complaint.category]]
            reason = reasons.complaint(behaviour, complaint.complaint_id, complaint.channel or None, standing.name)
            entry.case = self._decisions.of_record(standing, at_ms, behaviour.id, True, origin, reason)
        elif complaint.status == "dismissed":
            self._dismissed(standing, entry.case, at_ms, origin, Evidence(complaint_ids=(complaint.complaint_id,)))

    def _finding(self, standing: TenantRecord, finding: Finding, waiting: PendingRecord) -> None:
        at_ms = waiting.at_ms
        about_business = finding.behaviour == "undeclared_business"
        row = finding.catalogue_row or None if about_business else None
        if row is not None and self._catalogue.row(row) is None:
            refusal = (
                f"unknown_catalogue_row: catalogue_row {row!r}: expected the key of a row of the prohibited catalogue"
            )
            self._sink.refused.append(RefusedRecord(waiting.ref, finding.tenant_id, refusal, waiting.raw))
            return
        entry = standing.findings.get(finding.finding_id)
        if entry is not None and finding.status in entry.statuses:
            self._sink.duplicates += 1
            return
        if entry is None:
            entry = FindingEntry(finding.finding_id, at_ms, [])
            standing.findings[finding.finding_id] = entry
            standing.place(FINDINGS, entry)
            self._remember(at_ms, standing, FINDINGS, finding.finding_id)
        was_dismissed = entry.dismissed
        standing.touch(FINDINGS, entry)
        entry.statuses.append(finding.status)
        entry.last_ms = at_ms

        origin = Origin("finding", finding.finding_id)
        if finding.status == "confirmed" and not was_dismissed and at_ms >= self.from_ms:
            match = self._given(row) if row else None
            if match is None and about_business and finding.actual_business:
                match = self._catalogue.match(finding.actual_business)
            behaviour_id = "undeclared_prohibited_business" if match else finding.behaviour
            certain = match is None or match.certain
            reason = reasons.finding(
                self._policy.behaviours[behaviour_id],
                finding.finding_id,
                finding.declared_business or None,
                finding.actual_business or None,
                match,
                standing.name,
                None if certain else at_ms + self._policy.review_within_ms,
            )
            entry.case = self._decisions.of_record(standing, at_ms, behaviour_id, certain, origin, reason)
        elif finding.status == "dismissed":
            self._dismissed(standing, entry.case, at_ms, origin, Evidence(finding_ids=(finding.finding_id,)))

    def _given(self, key: str) -> Match:
        """A certain match: the inspector named the row of the catalogue."""
        row = self._catalogue.row(key)
        assert row is not None
        return Match(row, key, True)

    def _dismissed(
        self, standing: TenantRecord, first_id: str | None, at_ms: int, origin: Origin, evidence: Evidence
    ) -> None:
        """Reverse the decision that the dismissed record had led to, if it is still pending or final."""
        case = standing.cases.get(first_id) if first_id else None
        if case is not None and case.status != "closed":
            reason = reasons.reversed_by_dismissal(origin.type, origin.id)
            self._decisions.reverse(standing, case, at_ms, evidence, reason)

    def _review(self, standing: TenantRecord, review: Review, waiting: PendingRecord) -> None:
        at_ms = waiting.at_ms
        if at_ms < self.from_ms:
            return  # it reviews a decision that was made elsewhere; the review is not at fault
        version = _VERDICTS.index(review.verdict)
        if self._repeated(standing, "review", review.review_id, version):
            self._sink.duplicates += 1
            return
        case = standing.cases.get(standing.case_of.get(review.enforcement_id, ""))
        refusal = None
        if case is None:
            refusal = (
                f"unknown_enforcement: enforcement_id {review.enforcement_id!r}: expected a decision on this tenant"
            )
        elif review.enforcement_id == case.closing_id:
            refusal = f"not_reviewable: enforcement_id {review.enforcement_id!r} is a reversal or a lapse"
        elif case.status == "closed":
            refusal = f"nothing_to_change: decision {review.enforcement_id!r} was reversed or has lapsed"
        elif review.verdict == "uphold" and case.status == "final":
            refusal = f"nothing_to_change: decision {review.enforcement_id!r} is final already"
        if case is None or refusal:
            self._sink.refused.append(RefusedRecord(waiting.ref, review.tenant_id, refusal or "", waiting.raw))
            return
        self._note(standing, "review", review.review_id, version, at_ms)
        if review.verdict == "uphold":
            reason = reasons.upheld(case.reason, review.reviewer, review.reason)
            self._decisions.uphold(standing, case, at_ms, review.review_id, reason)
        else:
            reason = reasons.reversed_by_review(case.kind, review.reviewer, review.reason)
            self._decisions.reverse(standing, case, at_ms, Evidence(review_ids=(review.review_id,)), reason)

    def _application(self, standing: TenantRecord, application: Application, at_ms: int) -> None:
        version = application.updated_ms
        if self._repeated(standing, "application", application.application_id, version):
            self._sink.duplicates += 1
            return
        self._note(standing, "application", application.application_id, version, at_ms)
        if at_ms < self.from_ms:
            return
        texts: dict[Literal["declared_business", "scenario"], str] = {
            "declared_business": application.declared_business,
            "scenario": application.scenario or "",
        }
        found = [(match, name) for name, text in texts.items() if (match := self._catalogue.match(text))]
        if found:
            match, name = max(found, key=lambda one: one[0].certain)  # a certain match first; ties go to the first
            review_by_ms = None if match.certain else at_ms + self._policy.review_within_ms
            reason = reasons.admission(match, name, application.application_id, texts[name], review_by_ms)
            self._decisions.of_application(
                standing, at_ms, "prohibited_business_application", match.certain, application, reason
            )
        if standing.banned:
            reason = reasons.banned_applicant(application.application_id)
            self._decisions.of_application(standing, at_ms, "banned_applicant", True, application, reason)

    def _tenant(self, standing: TenantRecord, tenant: Tenant, at_ms: int) -> None:
        version = tenant.updated_ms
        if self._repeated(standing, "tenant", tenant.tenant_id, version):
            self._sink.duplicates += 1
            return
        self._note(standing, "tenant", tenant.tenant_id, version, at_ms)
        if tenant.updated_ms > standing.name_ms:
            standing.rename(tenant.name or None, tenant.updated_ms)

    # Duplicates and forgetting ----------------------------------------------------------------------------------

    @staticmethod
    def _repeated(standing: TenantRecord, kind: str, record_id: str, version: int) -> bool:
        seen = standing.seen.get(f"{kind}:{record_id}")
        return seen is not None and seen.has(version)

    def _note(self, standing: TenantRecord, kind: str, record_id: str, version: int, at_ms: int) -> None:
        key = f"{kind}:{record_id}"
        if standing.take_version(key, version, at_ms):
            self._remember(at_ms, standing, VERSIONS, key)

    def _remember(self, at_ms: int, standing: TenantRecord, kind: str, key: str) -> None:
        heapq.heappush(self._to_forget, (at_ms, standing.tenant, kind, key))

    def forget(self, now_ms: int) -> None:
        """Delete the ids whose last record is more than ``retention`` ago."""
        self._decisions.forget(now_ms)
        while self._to_forget and self._to_forget[0][0] + self._policy.retention_ms < now_ms:
            _, tenant, kind, key = heapq.heappop(self._to_forget)
            standing = self._standings.of(tenant)
            last_ms = standing.last_ms(kind, key)
            if last_ms + self._policy.retention_ms < now_ms:
                standing.forget(kind, key)
            else:
                heapq.heappush(self._to_forget, (last_ms, tenant, kind, key))

    def restore(self, standings: Sequence[TenantRecord], since_ms: Sequence[int]) -> None:
        """Restore the records from before a restart. Each window, still empty, gets those since its ``since_ms``."""
        complaints: list[ComplaintEntry] = []
        self._to_forget = []
        for standing in standings:
            complaints.extend(standing.complaints.values())
            self._to_forget += [(last_ms, standing.tenant, kind, key) for kind, key, last_ms in standing.kept()]
        heapq.heapify(self._to_forget)
        for entry in complaints:
            entry.first_in = entry.verified_in = 0
        times = sorted((at_ms, entry.tenant) for entry in complaints for at_ms in entry.times)
        first = sorted((entry.first_ms, place) for place, entry in enumerate(complaints))
        dated = [(entry.verified_ms, place) for place, entry in enumerate(complaints)]
        verified = sorted((at_ms, place) for at_ms, place in dated if at_ms is not None)
        for window, from_ms in zip(self._windows, since_ms, strict=True):
            for at_ms, tenant in times[bisect_left(times, (from_ms,)) :]:
                window.record(at_ms, tenant)
            if window.counting:
                for _, place in first[bisect_left(first, (from_ms,)) :]:
                    window.first(complaints[place])
                for _, place in verified[bisect_left(verified, (from_ms,)) :]:
                    window.verified(complaints[place])
