"""Events of tenants besides their calls, as data: complaints, findings, applications and their outcome.

Ranges and delays ensure that everything that matters for a label is decided and reviewed before the run ends.
"""

from dataclasses import dataclass
from typing import Literal

Record = Literal["complaint", "finding", "application"]


@dataclass(frozen=True, slots=True)
class Step:
    """One complaint, finding or application, possibly repeated.

    ``at`` is when it begins, as a range of the run (0 to 1); ``path`` the further statuses with the delay to each in
    hours (shrunk in runs of less than four days); ``review`` the verdict, ``review_after`` hours later, on the decision
    that the ``verified`` or ``confirmed`` record causes (``review_of``, see `monitor.simulate.tenants.verdicts`).
    ``times`` is how often, ``complainants`` from how many people (the first of them files most). ``wording`` is a list
    of `monitor.simulate.tenants.texts`. ``stops_calls`` ends the tenant's traffic an hour after the decision.
    """

    record: Record
    what: str = ""
    at: tuple[float, float] = (0.2, 0.5)
    path: tuple[tuple[str, float, float], ...] = ()
    times: tuple[int, int] = (1, 1)
    complainants: int = 0
    wording: str | None = None
    review: Literal["uphold", "overturn"] | None = None
    review_of: Literal["decision", "likely", "escalation"] = "decision"
    review_after: tuple[float, float] = (2, 30)
    stops_calls: bool = False


_SOON = (2.0, 30.0)
_VERIFIED = (("verified", *_SOON),)
_CONFIRMED = (("confirmed", *_SOON),)
_DISMISSED = (("dismissed", 4.0, 48.0),)

SCRIPTS: dict[str, tuple[Step, ...]] = {
    "prohibited-certain": (Step("finding", "undeclared_business", (0.1, 0.5), _CONFIRMED, wording="certain"),),
    "prohibited-likely": (
        Step(
            "finding",
            "undeclared_business",
            (0.1, 0.35),
            _CONFIRMED,
            wording="likely",
            review="uphold",
            review_of="likely",
        ),
    ),
    "undeclared-harmless": (Step("finding", "undeclared_business", (0.1, 0.6), _CONFIRMED, wording="harmless"),),
    "in-call-abuser": (
        Step("finding", "in_call_abuse", (0.1, 0.5), _CONFIRMED),
        Step("complaint", "abuse", (0.3, 0.8), times=(1, 3)),
    ),
    "low-and-slow-fraud": (Step("complaint", "fraud", (0.15, 0.6), _VERIFIED, times=(1, 2)),),
    "consent-copier": (Step("complaint", "no_consent", (0.1, 0.6), _VERIFIED, times=(1, 2)),),
    # Three warnings in sequence cause an escalation; the review names the last of them.
    "repeat-offender": (
        Step("finding", "blind_calling", (0.05, 0.15), (("confirmed", 1.0, 8.0),)),
        Step("complaint", "no_consent", (0.25, 0.35), (("verified", 1.0, 8.0),)),
        Step(
            "finding",
            "undeclared_business",
            (0.45, 0.6),
            (("confirmed", 1.0, 8.0),),
            wording="harmless",
            review="uphold",
            review_of="escalation",
        ),
    ),
    "banned-returner": (
        Step("finding", "undeclared_business", (0.05, 0.2), _CONFIRMED, wording="certain", stops_calls=True),
        Step("application", at=(0.6, 0.95), times=(1, 2), wording="returning"),
    ),
    "prohibited-applicant": (Step("application", at=(0.05, 0.9), times=(1, 3), wording="prohibited"),),
    # Honest.
    "bombed": (
        Step("complaint", "harassment", (0.1, 0.8), _DISMISSED, times=(6, 16), complainants=3),
        Step("complaint", "number_leak", (0.1, 0.9), times=(2, 6), complainants=2),
        Step("complaint", "fraud", (0.2, 0.8), _DISMISSED, times=(1, 3), complainants=1),
    ),
    "wrongly-suspected": (
        Step("application", at=(0.05, 0.5), wording="innocent"),
        Step("finding", "undeclared_business", (0.05, 0.3), _DISMISSED, wording="likely"),
        Step(
            "finding",
            "undeclared_business",
            (0.1, 0.4),
            _CONFIRMED,
            wording="mistaken",
            review="overturn",
            review_of="likely",
            review_after=(2, 24),
        ),
        Step("finding", "in_call_abuse", (0.05, 0.2), (("confirmed", 1.0, 12.0), ("dismissed", 4.0, 48.0))),
        Step("complaint", "abuse", (0.1, 0.3), _VERIFIED, review="overturn"),
    ),
}
