"""A simulated review names the decision by the id that the contract derives from the record."""

import pytest

from monitor.core.tenants.ids import Origin, enforcement_id
from monitor.simulate.tenants.verdicts import decided_id
from schemas.inputs import Complaint, Finding

T = 1_772_409_600_000


@pytest.mark.parametrize(
    ("category", "kind", "rule"),
    [
        ("fraud", "ban", "verified_fraud_complaint"),
        ("harassment", "termination", "verified_harassment_complaint"),
        ("abuse", "termination", "in_call_abuse"),
        ("number_leak", "warning", "blind_calling"),
    ],
)
def test_a_verified_complaint(category: str, kind: str, rule: str) -> None:
    complaint = Complaint("q1", "acme", category, "verified", T - 5, T)  # type: ignore[arg-type]  # one of the literals
    expected = enforcement_id("acme", kind, "final", rule, T, Origin("complaint", "q1"))
    assert decided_id(complaint, "decision") == expected


def test_a_likely_match_of_the_catalogue_is_pending() -> None:
    finding = Finding("f1", "acme", "undeclared_business", "confirmed", T)
    origin = Origin("finding", "f1")
    expected = enforcement_id("acme", "ban", "pending_review", "undeclared_prohibited_business", T, origin)
    assert decided_id(finding, "likely") == expected
    assert decided_id(finding, "decision") == enforcement_id(
        "acme", "warning", "final", "undeclared_business", T, origin
    )
