"""The decision that a record will cause, so that a simulated review can name it in advance."""

from monitor.core.tenants.ids import Origin, enforcement_id
from schemas.inputs import Complaint, Finding

# (kind, rule) of the decision, by a complaint's category or a finding's behaviour: section 5 of the contract.
PROHIBITED = ("ban", "undeclared_prohibited_business")
COMPLAINTS = {
    "fraud": ("ban", "verified_fraud_complaint"),
    "harassment": ("termination", "verified_harassment_complaint"),
    "prohibited_business": PROHIBITED,
    "abuse": ("termination", "in_call_abuse"),
    "number_leak": ("warning", "blind_calling"),
    "no_consent": ("warning", "no_consent"),
}
FINDINGS = {
    "undeclared_business": ("warning", "undeclared_business"),
    "in_call_abuse": ("termination", "in_call_abuse"),
    "blind_calling": ("warning", "blind_calling"),
    "no_consent": ("warning", "no_consent"),
}
# The escalation of the built-in policy.
ESCALATION = ("termination", "repeated-violations")


def decided_id(record: Complaint | Finding, review_of: str) -> str:
    """The id of the decision that this record, just verified or confirmed, causes.

    ``review_of`` selects it: ``decision`` is the final one of its category or behaviour, ``likely`` the pending one of
    a finding whose business is a likely match in the catalogue, ``escalation`` the pending one that this record's
    violation completes.
    """
    if isinstance(record, Complaint):
        origin, decision = Origin("complaint", record.complaint_id), COMPLAINTS[record.category]
    else:
        origin, decision = Origin("finding", record.finding_id), FINDINGS[record.behaviour]
    kind, rule = {"decision": decision, "likely": PROHIBITED, "escalation": ESCALATION}[review_of]
    status = "final" if review_of == "decision" else "pending_review"
    further = (decision[1],) if review_of == "escalation" else ()
    return enforcement_id(record.tenant_id, kind, status, rule, record.updated_ms, origin, further)
