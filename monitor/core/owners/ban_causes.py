"""What may ban a tenant, or end a ban: some records, and under some policies windows."""

from monitor.policy.model import Policy
from schemas.inputs import Complaint, Finding, Record, Review


def may_ban(record: Record) -> bool:
    """Whether the decision of this record may ban a tenant or end a ban, directly or by an escalation."""
    match record:
        case Complaint(status=status) | Finding(status=status):
            return status not in ("received", "suspected")
        case Review():
            return True
        case _:
            return False


def windows_may_ban(policy: Policy) -> bool:
    """Whether a measured rule may ban a tenant without a review: its final decisions set off an escalation."""
    rules = [*policy.rules, *(override.rule for override in policy.overrides)]
    decides = any(rule.mode == "enforce" for rule in rules)
    return decides and any(escalation.mode == "enforce" for escalation in policy.escalations)
