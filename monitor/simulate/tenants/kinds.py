"""The kinds of tenants, as data: their behaviour, number, size and scripted events."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of tenant.

    ``share`` is its weight among the tenants beyond the first of each kind. ``size`` is a range of weekday calls in
    multiples of the mean tenant, ``calls`` a range in absolute numbers, ``of_all`` a share of all calls; with none of
    them the tenant gets a share of the rest by Zipf's law. ``turns_to`` is the profile from the third day on.
    ``script`` names its events (`monitor.simulate.tenants.scripts`), ``business`` what it declares. ``found_by`` is the
    metric or behaviour that should reveal it, ``tier`` the highest expected tier; None for honest ones.
    """

    name: str
    profile: str
    share: float
    honest: bool = True
    found_by: str | None = None
    tier: str | None = None
    size: tuple[float, float] | None = None
    calls: tuple[float, float] | None = None
    of_all: float | None = None
    turns_to: str | None = None
    script: str | None = None
    business: str = "sales"

    def __post_init__(self) -> None:
        if self.honest == (self.found_by is not None):
            raise ValueError(f"kind {self.name}: found_by belongs to the bad kinds and to all of them")


# Honest and bad alternate, so that a small run (the first entries of this list) has some of both.
KINDS: tuple[Kind, ...] = (
    Kind("sales-desk", "sales", 30, business="sales"),
    Kind("blind-dialler", "blind", 0.5, False, "short_call_ratio", "minor", size=(3, 8)),
    Kind("notification-robot", "notification", 5, size=(1.5, 5), business="notification"),
    Kind("sequential-dialler", "sequential", 0.3, False, "sequential_ratio", "minor", size=(3, 8)),
    Kind("courier", "courier", 5, size=(1, 3.5), business="courier"),
    Kind("harasser", "harasser", 0.4, False, "callee_over_limit", "minor", size=(1.5, 4)),
    Kind("night-desk", "night_desk", 2.5, size=(1, 4), business="night"),
    Kind(
        "prohibited-certain",
        "sales",
        0.3,
        False,
        "undeclared_prohibited_business",
        "severe",
        script="prohibited-certain",
    ),
    Kind("inbound-centre", "inbound", 10, business="support"),
    Kind("night-caller", "night_caller", 0.4, False, "out_of_hours_ratio", "minor", size=(1.5, 4)),
    Kind("support-desk", "support", 20, business="support"),
    Kind("two-second-burst", "two_second", 0.3, False, "short_call_ratio", "minor", size=(3, 8)),
    Kind("tiny", "sales", 14, calls=(1, 14), business="sales"),
    Kind("turncoat", "sales", 0.4, False, "short_call_ratio", "minor", size=(3, 8), turns_to="blind"),
    Kind("reminder-robot", "reminder", 4, size=(1, 3), business="reminder"),
    Kind(
        "low-and-slow-fraud",
        "low_and_slow",
        0.5,
        False,
        "verified_fraud_complaint",
        "severe",
        size=(0.1, 0.4),
        script="low-and-slow-fraud",
    ),
    Kind("survey-institute", "survey", 2, size=(1, 5), business="survey"),
    Kind("number-rotation", "rotation", 0.3, False, "carrier_blocked_ratio", "minor", size=(3, 8)),
    Kind("start-up", "start_up", 4, size=(0.3, 0.9), business="sales"),
    Kind("consent-forger", "forger", 0.4, False, "consent_coverage", "minor", size=(1, 4)),
    Kind("bombed", "sales", 0.8, size=(1, 4), script="bombed", business="sales"),
    Kind("repeat-offender", "sales", 0.3, False, "repeat_violation", "major", size=(1, 2), script="repeat-offender"),
    Kind("giant", "giant", 0, of_all=0.2, business="support"),
    Kind("in-call-abuser", "sales", 0.4, False, "in_call_abuse", "major", size=(0.5, 2), script="in-call-abuser"),
    Kind("wrongly-suspected", "support", 0.8, size=(0.5, 2), script="wrongly-suspected", business="support"),
    Kind(
        "prohibited-likely", "sales", 0.3, False, "undeclared_prohibited_business", "severe", script="prohibited-likely"
    ),
    Kind("undeclared-harmless", "sales", 0.5, False, "undeclared_business", "minor", script="undeclared-harmless"),
    Kind("banned-returner", "sales", 0.3, False, "undeclared_prohibited_business", "severe", script="banned-returner"),
    Kind("consent-copier", "copier", 0.3, False, "no_consent", "minor", size=(1, 4), script="consent-copier"),
    Kind(
        "prohibited-applicant",
        "sales",
        0.5,
        False,
        "prohibited_business_application",
        script="prohibited-applicant",
    ),
)

BY_NAME: dict[str, Kind] = {kind.name: kind for kind in KINDS}
