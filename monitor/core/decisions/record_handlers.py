"""Handlers for records that are not calls: complaints, findings, tenants, applications and reviews."""

from collections.abc import Callable, Iterable, Sequence

from monitor import reasons
from monitor.core.decisions.admissions import Admissions
from monitor.core.decisions.lifecycle import DecisionLifecycle, PlacedReview
from monitor.core.decisions.pending_record import PendingRecord
from monitor.core.decisions.proposals import Proposals, evidence_of
from monitor.core.decisions.retention import RecordRetention, Retention
from monitor.core.decisions.review_rejection import RequestedReview, ReviewedCase, review_rejection
from monitor.core.record_places import UNKNOWN_PLACE, PlacedEvidence, RecordLogs
from monitor.core.record_ref import RecordRef
from monitor.core.results import Output, RejectedRecord
from monitor.core.tenants.complaint_windows import ComplaintWindows
from monitor.core.tenants.complaints import ComplaintEntry, ComplaintWindow
from monitor.core.tenants.ids import Origin
from monitor.core.tenants.tenant_record import COMPLAINTS, FINDINGS, VERSIONS, FindingEntry, TenantRecord
from monitor.core.tenants.tenant_records import TenantRecords
from monitor.policy.catalogue import Catalogue, Match
from monitor.policy.model import Policy
from monitor.text.masking import mask_id, mask_text
from monitor.text.record_ids import ids_of
from schemas.inputs import Application, Complaint, Finding, Review, Tenant
from schemas.outputs import Evidence, Kind

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
_VERDICTS = ("uphold", "overturn", "approve", "reject")


class UndecidableError(Exception):
    """Deciding the record at ``ref`` raised an unexpected error, which is the cause of this one."""

    def __init__(self, ref: RecordRef) -> None:
        super().__init__(f"the record at offset {ref.offset}")
        self.ref = ref


class RecordHandlers:
    """Decides records one by one, in decision order.

    ``number_of`` returns the number of a tenant, and assigns one if needed. Records before ``from_ms`` are kept, but
    decide nothing. ``retention`` forgets ids and cases before each record.
    """

    def __init__(
        self,
        policy: Policy,
        catalogue: Catalogue,
        decisions: DecisionLifecycle,
        windows: Iterable[ComplaintWindow],
        tenant_records: TenantRecords,
        number_of: Callable[[str], int],
        output: Output,
    ) -> None:
        self._policy = policy
        self._catalogue = catalogue
        self._decisions = decisions
        self._proposals = Proposals(policy)
        self._admissions = Admissions(policy, catalogue, decisions)
        self._windows = ComplaintWindows(windows)
        self._tenant_records = tenant_records
        self.retention = Retention(decisions.retention, RecordRetention(policy.retention_ms, tenant_records))
        self._number_of = number_of
        self._output = output
        self.from_ms = 0
        self.logs: RecordLogs | None = None  # None: places are unknown

    def decide(self, waiting: PendingRecord) -> bool:
        """Decide a record. Returns whether it may have changed a window, that is, is a complaint.

        Raises UndecidableError if the decision raises any error.
        """
        self.retention.forget(waiting.at_ms)
        try:
            self._decide(waiting)
        except Exception as error:
            raise UndecidableError(waiting.ref) from error
        return isinstance(waiting.record, Complaint)

    def _decide(self, waiting: PendingRecord) -> None:
        record = waiting.record
        tenant_record = self._tenant_records.of(self._number_of(record.tenant_id))
        match record:
            case Tenant() as tenant:
                self._tenant(tenant_record, tenant, waiting.at_ms)
            case Complaint() as complaint:
                self._complaint(tenant_record, complaint, waiting)
            case Finding() as finding:
                self._finding(tenant_record, finding, waiting)
            case Review() as review:
                self._review(tenant_record, review, waiting)
            case Application() as application:
                self._application(tenant_record, application, waiting)

    def _complaint(self, tenant_record: TenantRecord, complaint: Complaint, waiting: PendingRecord) -> None:
        at_ms, place = waiting.at_ms, self._place(waiting)
        entry = tenant_record.complaints.get(complaint.complaint_id)
        if entry is not None and entry.has(complaint.status):
            self._output.duplicates += 1
            return
        new = entry is None
        if entry is None:
            entry = ComplaintEntry.of(complaint, tenant_record.tenant, at_ms)
            tenant_record.complaints[complaint.complaint_id] = entry
            tenant_record.place(COMPLAINTS, entry)
            self.retention.records.add(at_ms, tenant_record, COMPLAINTS, complaint.complaint_id)
        elif complaint.updated_ms >= entry.written_ms and (complaint.complainant or None) != entry.complainant:
            self._windows.renamed(entry, complaint.complainant or None)
        was_dismissed = entry.dismissed
        tenant_record.touch(COMPLAINTS, entry)
        entry.take(complaint, at_ms, place)
        self._windows.record(entry, complaint.status, at_ms, new)

        origin = Origin("complaint", complaint.complaint_id)
        decides = complaint.status == "verified" and not was_dismissed and at_ms >= self.from_ms
        if decides and complaint.category in _BEHAVIOUR_OF:
            behaviour = self._policy.behaviours[_BEHAVIOUR_OF[complaint.category]]
            reason = reasons.complaint(
                behaviour, complaint.complaint_id, complaint.channel or None, tenant_record.name, ids_of(complaint)
            )
            proposed = self._proposals.of_record(behaviour.id, True, origin, reason, place)
            entry.case = self._decisions.decide(tenant_record, at_ms, proposed)
        elif complaint.status == "dismissed":
            self._dismissed(tenant_record, entry.case, waiting, origin)

    def _finding(self, tenant_record: TenantRecord, finding: Finding, waiting: PendingRecord) -> None:
        at_ms = waiting.at_ms
        about_business = finding.behaviour == "undeclared_business"
        row = finding.catalogue_row or None if about_business else None
        if row is not None and self._catalogue.row(row) is None:
            rejection = (
                f"unknown_catalogue_row: catalogue_row {mask_text(row)!r}: expected the key of a row of the prohibited "
                "catalogue"
            )
            self._output.rejected.append(RejectedRecord(waiting.ref, finding.tenant_id, rejection, waiting.raw))
            return
        entry = tenant_record.findings.get(finding.finding_id)
        if entry is not None and finding.status in entry.statuses:
            self._output.duplicates += 1
            return
        if entry is None:
            entry = FindingEntry(finding.finding_id, at_ms, [])
            tenant_record.findings[finding.finding_id] = entry
            tenant_record.place(FINDINGS, entry)
            self.retention.records.add(at_ms, tenant_record, FINDINGS, finding.finding_id)
        was_dismissed = entry.dismissed
        tenant_record.touch(FINDINGS, entry)
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
                (finding.declared_business or None, finding.actual_business or None),
                match,
                tenant_record.name,
                None if certain else at_ms + self._policy.review_within_ms,
                ids_of(finding),
            )
            proposed = self._proposals.of_record(behaviour_id, certain, origin, reason, self._place(waiting))
            entry.case = self._decisions.decide(tenant_record, at_ms, proposed)
        elif finding.status == "dismissed":
            self._dismissed(tenant_record, entry.case, waiting, origin)

    def _given(self, key: str) -> Match:
        """A certain match: the inspector named the row of the catalogue."""
        row = self._catalogue.row(key)
        assert row is not None
        return Match(row, key, True)

    def _dismissed(
        self, tenant_record: TenantRecord, first_id: str | None, waiting: PendingRecord, origin: Origin
    ) -> None:
        """Reverse the decision that the dismissed record had led to, if it is still pending or final."""
        case = tenant_record.cases.get(first_id) if first_id else None
        if case is not None and case.status != "closed":
            reason = reasons.reversed_by_dismissal(origin.type, origin.id)
            grounds = PlacedEvidence(evidence_of(origin), (self._place(waiting),))
            self._decisions.reverse(tenant_record, case, waiting.at_ms, grounds, reason)

    def _review(self, tenant_record: TenantRecord, review: Review, waiting: PendingRecord) -> None:
        at_ms = waiting.at_ms
        if at_ms < self.from_ms:
            return  # it reviews a decision that was made elsewhere; the review is not at fault
        key, version = f"review:{review.review_id}", _VERDICTS.index(review.verdict)
        if _repeated(tenant_record, key, version):
            self._output.duplicates += 1
            return
        case = tenant_record.cases.get(tenant_record.case_of.get(review.enforcement_id, ""))
        reviewed = None
        if case is not None:
            barred = self._admissions.barred(tenant_record)
            reviewed = ReviewedCase(case.status == "final", case.closing_id, case.kind, case.behaviour, barred)
        rejection = review_rejection(
            reviewed, RequestedReview(review.enforcement_id, review.verdict, review.kind or None)
        )
        if rejection is not None:
            message = rejection.reason(mask_id(review.enforcement_id))
            self._output.rejected.append(
                RejectedRecord(waiting.ref, review.tenant_id, message, waiting.raw, waiting.signature)
            )
            return
        assert case is not None
        self._add_version(tenant_record, key, version, at_ms)
        ids = (*ids_of(review, case.evidence), case.rule_id, *filter(None, (case.pending_id, case.final_id)))
        by = reasons.ReviewQuote(review.reviewer, review.reason, ids)
        if review.verdict == "overturn":
            reason = reasons.reversed_by_review(case.kind, by)
            grounds = PlacedEvidence(Evidence(review_ids=(review.review_id,)), (self._place(waiting),))
            self._decisions.reverse(tenant_record, case, at_ms, grounds, reason)
            return
        kind: Kind
        if review.verdict == "uphold":
            kind = review.kind or case.kind
            if case.status == "final" and case.grounds is None:
                case.grounds = case.reason
            reason = reasons.upheld(case.grounds or case.reason, by, None if kind == case.kind else kind)
        else:
            kind = "admission_approved" if review.verdict == "approve" else "admission_rejected"
            reason = reasons.application_reviewed(case.evidence.application_ids[0], kind, by)
        placed = PlacedReview(review.review_id, self._place(waiting))
        self._decisions.decide_on_review(tenant_record, case, at_ms, kind, placed, reason)

    def _application(self, tenant_record: TenantRecord, application: Application, waiting: PendingRecord) -> None:
        at_ms = waiting.at_ms
        key, version = f"application:{application.application_id}", application.updated_ms
        if _repeated(tenant_record, key, version):
            self._output.duplicates += 1
            return
        self._add_version(tenant_record, key, version, at_ms)
        if at_ms >= self.from_ms:
            newest = tenant_record.seen[key].newest == version
            self._admissions.application(tenant_record, application, newest, at_ms, self._place(waiting))

    def _tenant(self, tenant_record: TenantRecord, tenant: Tenant, at_ms: int) -> None:
        key, version = f"tenant:{tenant.tenant_id}", tenant.updated_ms
        # The newest record is never forgotten, though its version is, after `retention`.
        if version == tenant_record.name_ms or _repeated(tenant_record, key, version):
            self._output.duplicates += 1
            return
        self._add_version(tenant_record, key, version, at_ms)
        if tenant.owner_id:
            self._decisions.owner_bans.name(tenant_record, tenant.owner_id)
        if version <= tenant_record.name_ms:
            return  # another record is the newest
        named = tenant.owner_id if tenant.owner_id != tenant_record.owner else None
        declared = tenant_record.register(tenant)
        if at_ms >= self.from_ms:
            self._admissions.tenant(tenant_record, tenant, declared, named or None, at_ms)

    def _place(self, waiting: PendingRecord) -> int:
        """The place of a record, for those who look for the evidence of a decision."""
        return UNKNOWN_PLACE if self.logs is None else self.logs.place(waiting.ref)

    def _add_version(self, tenant_record: TenantRecord, key: str, version: int, at_ms: int) -> None:
        """Remember a new version of the record with that key."""
        if tenant_record.take_version(key, version, at_ms):
            self.retention.records.add(at_ms, tenant_record, VERSIONS, key)

    def restore(self, tenant_records: Sequence[TenantRecord], since_ms: Sequence[int]) -> None:
        """Restore the records from before a restart. Each window, still empty, gets those since its ``since_ms``."""
        self.retention.records.restore(tenant_records)
        complaints = [entry for tenant_record in tenant_records for entry in tenant_record.complaints.values()]
        self._windows.restore(complaints, since_ms)


def _repeated(tenant_record: TenantRecord, key: str, version: int) -> bool:
    """Whether that version of the record with that key was seen."""
    seen = tenant_record.seen.get(key)
    return seen is not None and seen.has(version)
