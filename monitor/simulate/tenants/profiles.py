"""The characteristics of a tenant's calls, as data: one `TrafficProfile` for each calling pattern.

The figures are assumptions, set to the orders of magnitude that operators' guides give (office diurnal load with
a lunch dip, seizure ratios of 30 to 70 %, post-dial delay of 2 to 3 s), not fits to a data set.
"""

from dataclasses import dataclass
from typing import NamedTuple

from schemas.inputs import Category


class OutcomeWeights(NamedTuple):
    """The weights of the outcomes of outbound calls."""

    answered: float
    no_answer: float
    busy: float
    rejected: float
    invalid_number: float = 0.01
    unreachable: float = 0.04
    carrier_blocked: float = 0.002
    policy_blocked: float = 0.002
    cancelled: float = 0.02
    failed: float = 0.005


OUTCOMES = OutcomeWeights._fields

# How much tenants of one profile differ in each outcome: sigma of a log-normal factor on its weight.
OUTCOME_SPREAD = (0.1, 0.15, 0.3, 0.25, 0.35, 0.3, 0.4, 0.5, 0.3, 0.3)
# The same for the length of their calls.
TALK_SPREAD = 0.15

# Share of a weekday's calls by hour of the day in Asia/Shanghai, 00 to 23; scaled to a sum of 1 on use.
HOURS: dict[str, tuple[float, ...]] = {
    "office": (0, 0, 0, 0, 0, 0, 0, 0, 2, 9, 12, 11, 4, 6, 11, 12, 11, 8, 3, 1, 0, 0, 0, 0),
    "shop": (0, 0, 0, 0, 0, 0, 0, 0, 3, 7, 9, 8, 6, 7, 8, 8, 8, 8, 8, 7, 6, 0, 0, 0),
    "robot": (0, 0, 0, 0, 0, 0, 0, 0, 2, 14, 18, 10, 3, 5, 14, 16, 10, 5, 2, 1, 0, 0, 0, 0),
    "courier": (0, 0, 0, 0, 0, 0, 0, 0, 6, 9, 12, 13, 9, 6, 8, 9, 10, 9, 6, 2, 1, 0, 0, 0),
    "centre": (1, 0.6, 0.4, 0.3, 0.3, 0.6, 1.5, 3, 6, 8, 9, 8, 5, 6, 8, 8, 8, 7, 6, 5, 4, 3, 2, 1.5),
    "night": (7, 7, 6, 5, 5, 5, 5, 3, 2, 2, 2, 2, 2, 2, 2, 2, 3, 4, 4, 4, 5, 6, 7, 7),
    "late_evening": (2, 0, 0, 0, 0, 0, 4, 6, 2, 3, 4, 3, 2, 3, 4, 4, 4, 5, 6, 7, 9, 12, 12, 8),
    "long_day": (0, 0, 0, 0, 0, 0, 0, 1, 5, 8, 10, 9, 6, 7, 9, 10, 9, 8, 8, 6, 4, 0, 0, 0),
    "bursts": (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 5, 0, 0, 0, 5, 0, 0, 0, 0),
}

# Factor on the load of Monday to Sunday.
WEEKS: dict[str, tuple[float, ...]] = {
    "office": (1.05, 1.05, 1.0, 1.0, 0.95, 0.25, 0.12),
    "every_day": (1.0, 1.0, 1.0, 1.0, 1.05, 0.95, 0.85),
    "robot": (1.0, 1.0, 1.0, 1.0, 1.0, 0.6, 0.5),
    "night": (0.95, 0.95, 0.95, 1.0, 1.1, 1.15, 1.05),
    "restless": (1.0, 1.0, 1.0, 1.0, 1.0, 0.8, 0.7),
}


@dataclass(frozen=True, slots=True)
class Grievance:
    """Complaints that calls of a profile cause. ``per_answered`` is the chance per call; shares are of complaints."""

    category: Category
    per_answered: float
    verified: float = 0.0
    dismissed: float = 0.5


@dataclass(frozen=True, slots=True)
class TrafficProfile:
    """One calling pattern. Shares are of attempts, or of answered calls if the name says so.

    ``talk`` is a mixture of log-normals ``(weight, median s, sigma)``; ``callee_hangup`` the callee's share of hang-ups
    of calls of at most 10 s, ``callee_hangup_long`` of longer ones. ``callees`` selects the callees: customers of its
    ``book`` of so many days' calls in turn, ``fresh`` numbers of a bought list, ``sequence`` for consecutive numbers,
    ``few`` the same ones (``few_calls`` a day each). ``redial`` is the probability that an attempt repeats the previous
    callee. ``per_number`` is calls a day and caller number, ``rotates`` takes new caller numbers every day. ``burst_s``
    compresses an hour's calls into so many seconds.
    """

    hours: str
    week: str
    outcomes: OutcomeWeights
    talk: tuple[tuple[float, float, float], ...]
    inbound: float = 0.0
    abandoned: float = 0.05
    zero_answered: float = 0.002
    pdd_s: float = 2.4
    cancel_s: float = 9.0
    callee_hangup: float = 0.5
    callee_hangup_long: float = 0.45
    machine_answered: float = 0.02
    consent: float = 0.0
    consent_id: str = "per_callee"
    callees: str = "book"
    book_days: float = 6.0
    few_calls: float = 12.0
    redial: float = 0.04
    per_number: float = 60.0
    rotates: bool = False
    burst_s: float = 0.0
    agents: bool = True
    honest: bool = True
    grievances: tuple[Grievance, ...] = ()


_MILD = (Grievance("other", 0.0003, 0.2, 0.4), Grievance("no_consent", 0.00008, 0.0, 0.9))
# Typical of bought lists: people ask where the caller got their number.
_LISTS = (
    Grievance("number_leak", 0.006, 0.35, 0.15),
    Grievance("no_consent", 0.004, 0.3, 0.2),
    Grievance("other", 0.002, 0.2, 0.3),
)

PROFILES: dict[str, TrafficProfile] = {
    # Honest.
    "sales": TrafficProfile(
        "office",
        "office",
        OutcomeWeights(0.46, 0.28, 0.06, 0.06, invalid_number=0.015),
        ((0.3, 8.5, 0.65), (0.44, 48, 0.7), (0.26, 170, 0.7)),
        consent=0.97,
        grievances=_MILD,
    ),
    "support": TrafficProfile(
        "shop",
        "every_day",
        OutcomeWeights(0.62, 0.2, 0.05, 0.02, invalid_number=0.006),
        ((0.1, 14, 0.6), (0.6, 85, 0.7), (0.3, 260, 0.6)),
        inbound=0.6,
        consent=0.98,
        per_number=120,
        grievances=(Grievance("other", 0.0004, 0.2, 0.4),),
    ),
    "inbound": TrafficProfile(
        "centre",
        "every_day",
        OutcomeWeights(0.65, 0.2, 0.04, 0.02, invalid_number=0.005),
        ((0.08, 15, 0.6), (0.62, 110, 0.7), (0.3, 300, 0.6)),
        inbound=0.95,
        abandoned=0.07,
        consent=0.98,
        per_number=400,
        grievances=(Grievance("other", 0.0003, 0.2, 0.5),),
    ),
    "notification": TrafficProfile(
        "robot",
        "robot",
        OutcomeWeights(0.58, 0.25, 0.05, 0.05, invalid_number=0.008),
        ((0.28, 7.5, 0.45), (0.72, 17, 0.2)),
        callee_hangup=0.8,
        callee_hangup_long=0.35,
        machine_answered=0.08,
        consent=0.997,
        book_days=12,
        per_number=300,
        agents=False,
        grievances=(Grievance("other", 0.0002, 0.1, 0.6),),
    ),
    "reminder": TrafficProfile(
        "robot",
        "robot",
        OutcomeWeights(0.55, 0.29, 0.05, 0.04, invalid_number=0.006),
        ((0.25, 12, 0.4), (0.75, 24, 0.3)),
        callee_hangup=0.7,
        machine_answered=0.1,
        consent=0.995,
        book_days=10,
        redial=0.12,
        per_number=200,
        agents=False,
        grievances=(Grievance("other", 0.0002, 0.1, 0.6),),
    ),
    "courier": TrafficProfile(
        "courier",
        "every_day",
        OutcomeWeights(0.72, 0.16, 0.04, 0.03, invalid_number=0.006),
        ((0.85, 10.5, 0.38), (0.15, 32, 0.5)),
        callee_hangup=0.45,
        consent=0.98,
        book_days=8,
        redial=0.1,
        per_number=90,
        grievances=(Grievance("other", 0.0002, 0.1, 0.6),),
    ),
    "survey": TrafficProfile(
        "shop",
        "every_day",
        OutcomeWeights(0.17, 0.42, 0.08, 0.15, invalid_number=0.03, unreachable=0.08),
        ((0.3, 12, 0.5), (0.25, 40, 0.6), (0.45, 420, 0.4)),
        callee_hangup=0.6,
        consent=0.95,
        book_days=20,
        redial=0.03,
        grievances=(Grievance("no_consent", 0.0004, 0.0, 0.8), Grievance("other", 0.0006, 0.1, 0.5)),
    ),
    "night_desk": TrafficProfile(
        "night",
        "night",
        OutcomeWeights(0.76, 0.12, 0.04, 0.015, invalid_number=0.004),
        ((0.1, 14, 0.5), (0.6, 75, 0.6), (0.3, 180, 0.6)),
        inbound=0.4,
        consent=0.99,
        redial=0.1,
        per_number=80,
        grievances=(Grievance("other", 0.0002, 0.1, 0.6),),
    ),
    "start_up": TrafficProfile(
        "office",
        "office",
        OutcomeWeights(0.44, 0.24, 0.06, 0.06, invalid_number=0.07),
        ((0.25, 12, 0.6), (0.75, 60, 0.8)),
        consent=0.9,
        per_number=30,
        grievances=_MILD,
    ),
    "giant": TrafficProfile(
        "centre",
        "every_day",
        OutcomeWeights(0.56, 0.26, 0.06, 0.04, invalid_number=0.012),
        ((0.2, 12, 0.5), (0.55, 45, 0.7), (0.25, 160, 0.6)),
        inbound=0.15,
        consent=0.985,
        book_days=15,
        per_number=20_000,
        grievances=(Grievance("other", 0.0002, 0.15, 0.5), Grievance("no_consent", 0.00004, 0.0, 0.9)),
    ),
    # Bad.
    "blind": TrafficProfile(
        "long_day",
        "restless",
        OutcomeWeights(0.3, 0.24, 0.05, 0.14, invalid_number=0.2, unreachable=0.07, carrier_blocked=0.015),
        ((0.7, 5, 0.65), (0.2, 20, 0.6), (0.1, 90, 0.7)),
        callee_hangup=0.88,
        consent=0.08,
        callees="fresh",
        redial=0.01,
        per_number=80,
        honest=False,
        grievances=_LISTS,
    ),
    "sequential": TrafficProfile(
        "long_day",
        "restless",
        OutcomeWeights(0.26, 0.2, 0.05, 0.12, invalid_number=0.29, unreachable=0.08, carrier_blocked=0.015),
        ((0.65, 5.5, 0.6), (0.35, 25, 0.7)),
        callee_hangup=0.85,
        consent=0.02,
        callees="sequence",
        redial=0.0,
        per_number=80,
        honest=False,
        grievances=_LISTS,
    ),
    "rotation": TrafficProfile(
        "long_day",
        "restless",
        OutcomeWeights(0.31, 0.24, 0.05, 0.13, invalid_number=0.06, unreachable=0.06, carrier_blocked=0.16),
        ((0.5, 7, 0.6), (0.5, 35, 0.7)),
        callee_hangup=0.75,
        consent=0.15,
        callees="fresh",
        redial=0.02,
        per_number=6,
        rotates=True,
        honest=False,
        grievances=(Grievance("harassment", 0.003, 0.1, 0.3), Grievance("no_consent", 0.003, 0.3, 0.2)),
    ),
    "harasser": TrafficProfile(
        "long_day",
        "restless",
        OutcomeWeights(0.38, 0.22, 0.09, 0.24, invalid_number=0.01),
        ((0.5, 8, 0.7), (0.5, 40, 0.8)),
        callee_hangup=0.8,
        callee_hangup_long=0.6,
        consent=0.3,
        callees="few",
        redial=0.45,
        per_number=40,
        honest=False,
        grievances=(Grievance("harassment", 0.012, 0.35, 0.1), Grievance("abuse", 0.002, 0.3, 0.2)),
    ),
    "two_second": TrafficProfile(
        "bursts",
        "restless",
        OutcomeWeights(0.38, 0.12, 0.04, 0.07, invalid_number=0.06, cancelled=0.27),
        ((0.95, 2.0, 0.22), (0.05, 8, 0.4)),
        zero_answered=0.08,
        cancel_s=1.5,
        callee_hangup=0.2,
        consent=0.0,
        callees="fresh",
        redial=0.0,
        per_number=60,
        burst_s=600,
        agents=False,
        honest=False,
        grievances=(Grievance("other", 0.003, 0.2, 0.3),),
    ),
    "forger": TrafficProfile(
        "office",
        "office",
        OutcomeWeights(0.44, 0.28, 0.06, 0.08, invalid_number=0.02),
        ((0.25, 10, 0.6), (0.75, 50, 0.7)),
        callee_hangup=0.6,
        consent=0.03,
        callees="fresh",
        honest=False,
        grievances=(Grievance("no_consent", 0.003, 0.25, 0.2),),
    ),
    "copier": TrafficProfile(
        "office",
        "office",
        OutcomeWeights(0.44, 0.28, 0.06, 0.08, invalid_number=0.02),
        ((0.25, 10, 0.6), (0.75, 50, 0.7)),
        callee_hangup=0.6,
        consent=1.0,
        consent_id="one",
        callees="fresh",
        honest=False,
        grievances=(Grievance("no_consent", 0.004, 0.3, 0.2),),
    ),
    "night_caller": TrafficProfile(
        "late_evening",
        "restless",
        OutcomeWeights(0.36, 0.26, 0.06, 0.2, invalid_number=0.03),
        ((0.45, 7, 0.7), (0.55, 45, 0.7)),
        callee_hangup=0.8,
        consent=0.3,
        callees="fresh",
        redial=0.06,
        honest=False,
        grievances=(Grievance("no_consent", 0.004, 0.3, 0.2), Grievance("other", 0.004, 0.2, 0.3)),
    ),
    "low_and_slow": TrafficProfile(
        "office",
        "office",
        OutcomeWeights(0.5, 0.26, 0.05, 0.05, invalid_number=0.015),
        ((0.2, 14, 0.6), (0.8, 240, 0.7)),
        consent=0.9,
        per_number=20,
        honest=False,
        grievances=(Grievance("fraud", 0.01, 0.6, 0.1),),
    ),
}
