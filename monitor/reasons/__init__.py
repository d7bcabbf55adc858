"""The reason of each decision and alert: one sentence in Chinese and one in English, with the figures.

Pure functions; the same facts give the same words on any machine. Text from records is quoted, shortened, and its
telephone numbers are masked, because reasons go to people and to logs.
"""

from monitor.reasons.admissions import (
    AdmissionField,
    admission,
    application_forgotten,
    application_reviewed,
    application_waits,
    banned_applicant,
    newer_application,
)
from monitor.reasons.measures import Unmeasured, alert, measured
from monitor.reasons.owners import banned_owner, owner_ban_lifted, owner_banned
from monitor.reasons.records import (
    complaint,
    escalation_unsupported,
    finding,
    lapsed,
    repeated,
    reversed_by_dismissal,
    reversed_by_review,
    upheld,
)
from monitor.reasons.wording import ReviewQuote

__all__ = [
    "AdmissionField",
    "ReviewQuote",
    "Unmeasured",
    "admission",
    "alert",
    "application_forgotten",
    "application_reviewed",
    "application_waits",
    "banned_applicant",
    "banned_owner",
    "complaint",
    "escalation_unsupported",
    "finding",
    "lapsed",
    "measured",
    "newer_application",
    "owner_ban_lifted",
    "owner_banned",
    "repeated",
    "reversed_by_dismissal",
    "reversed_by_review",
    "upheld",
]
