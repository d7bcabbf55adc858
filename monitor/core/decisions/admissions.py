"""Admission: applications for numbers, and the businesses that tenants declare (section 5 of the contract)."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from monitor import reasons
from monitor.core.decisions.lifecycle import DecisionLifecycle
from monitor.core.decisions.proposals import Proposals, ProposedDecision, evidence_of
from monitor.core.record_places import PlacedEvidence
from monitor.core.tenants.ids import Origin
from monitor.core.tenants.tenant_record import TenantRecord
from monitor.policy.catalogue import Catalogue, Match
from monitor.policy.model import Policy
from monitor.reasons import AdmissionField
from monitor.text.record_ids import ids_of
from schemas.inputs import Application, Tenant
from schemas.owners import OwnerBan

CatalogueMatch = tuple[Match, AdmissionField, str]
"""A match, with the field and the text in which it was found."""


@dataclass(frozen=True, slots=True)
class AdmissionRequest:
    """What a record asks for: ``texts`` are the businesses that it names, each with its field.

    ``updated_ms`` is as written in the record. ``owner_ban`` is the earliest standing
    ban of an owner to whom an application's tenant belongs, or whom a `tenant` record newly names.
    """

    origin: Origin
    updated_ms: int
    texts: Sequence[tuple[AdmissionField, str]]
    record: Application | Tenant
    owner_ban: OwnerBan | None

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of the record, which only reasons need."""
        return ids_of(self.record)


class Admissions:
    """Decides versions of applications, and businesses and owners that tenants newly declare."""

    def __init__(self, policy: Policy, catalogue: Catalogue, decisions: DecisionLifecycle) -> None:
        self._policy = policy
        self._catalogue = catalogue
        self._decisions = decisions
        self._proposals = Proposals(policy)

    def application(
        self, tenant_record: TenantRecord, application: Application, newest: bool, at_ms: int, place: int
    ) -> None:
        """Decide a version of an application, whose record lies at ``place``.

        ``newest``: whether it is the greatest by ``updated_ms`` so far.
        """
        self._version(tenant_record, application.application_id, newest, at_ms, place)
        request = AdmissionRequest(
            Origin("application", application.application_id),
            application.updated_ms,
            (("declared_business", application.declared_business), ("scenario", application.scenario or "")),
            application,
            self._decisions.owner_bans.earliest(tenant_record),
        )
        found = self._match(request.texts)
        rejections = list(self._rejections(tenant_record, request, found, at_ms))
        if self._policy.admissions == "review":
            if not newest:
                rejections = [
                    rejection for rejection in rejections if rejection.final
                ]  # an older version does not wait
            elif not any(rejection.final for rejection in rejections):
                rejections = [self._waiting(request, found)]
        for proposed in rejections:
            self._decisions.decide(tenant_record, at_ms, replace(proposed, places=(place,)))

    def barred(self, tenant_record: TenantRecord) -> bool:
        """Whether the tenant may get no numbers now."""
        return tenant_record.banned or self._decisions.owner_bans.earliest(tenant_record) is not None

    def _version(self, tenant_record: TenantRecord, application_id: str, newest: bool, at_ms: int, place: int) -> None:
        """Take a new version of an application: a newer one reverses the waiting one, any other lets it wait longer."""
        first_id = tenant_record.waiting.get(application_id)
        if first_id is None:
            return
        case = tenant_record.cases[first_id]
        if newest:
            grounds = PlacedEvidence(evidence_of(Origin("application", application_id)), (place,))
            self._decisions.reverse(tenant_record, case, at_ms, grounds, reasons.newer_application(application_id))
        else:
            self._decisions.reviews.prolong(case, at_ms + self._policy.retention_ms)

    def _waiting(self, request: AdmissionRequest, likely: CatalogueMatch | None) -> ProposedDecision:
        """The proposal that an application waits for its review, because nothing rejects it for certain."""
        (_, business), _ = request.texts
        reason = reasons.application_waits(request.origin.id, business, likely, request.ids)
        return self._proposals.of_waiting_application(request.origin, request.updated_ms, reason)

    def tenant(
        self, tenant_record: TenantRecord, tenant: Tenant, businesses: Sequence[str], owner: str | None, at_ms: int
    ) -> None:
        """Decide a tenant's newest record.

        ``businesses`` and ``owner`` are those that it has and the preceding one did not.
        """
        texts: list[tuple[AdmissionField, str]] = [("declared_businesses", text) for text in businesses]
        found = self._match(texts)
        owner_ban = None if owner is None else self._decisions.owner_bans.banned(owner)
        if found is None and owner_ban is None:
            return  # the usual case
        origin = Origin("tenant", tenant.tenant_id)
        request = AdmissionRequest(origin, tenant.updated_ms, texts, tenant, owner_ban)
        for proposed in self._rejections(tenant_record, request, found, at_ms):
            self._decisions.decide(tenant_record, at_ms, proposed)

    def _rejections(
        self, tenant_record: TenantRecord, request: AdmissionRequest, found: CatalogueMatch | None, at_ms: int
    ) -> Iterator[ProposedDecision]:
        """Every rejection of a request: by the catalogue, in which this was ``found``, and because of a ban."""
        if found is not None:
            match, field, text = found
            review_by_ms = None if match.certain else at_ms + self._policy.review_within_ms
            reason = reasons.admission(match, field, request.origin.id, text, review_by_ms, request.ids)
            yield self._proposals.of_admission(
                "prohibited_business_application", match.certain, request.origin, request.updated_ms, reason
            )
        origin, owner_ban = request.origin, request.owner_ban
        if tenant_record.banned and (origin.type == "application" or owner_ban is not None):
            reason = reasons.banned_applicant(origin.id, origin.type)
            yield self._proposals.of_admission("banned_applicant", True, origin, request.updated_ms, reason)
        elif owner_ban is not None:
            reason = reasons.banned_owner(origin.type, origin.id, owner_ban)
            yield self._proposals.of_admission("banned_owner", True, origin, request.updated_ms, reason)

    def _match(self, texts: Iterable[tuple[AdmissionField, str]]) -> CatalogueMatch | None:
        """The most certain match of the catalogue, at a tie in the text that comes first; None if there is none."""
        likely = None
        for field, text in texts:
            match = self._catalogue.match(text)
            if match is not None and match.certain:
                return match, field, text
            if match is not None and likely is None:
                likely = match, field, text
        return likely
