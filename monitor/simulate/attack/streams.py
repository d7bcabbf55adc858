"""The calls of a tenant as data: streams whose figures are numbers, or ranges from which each tenant draws its own."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

Range = float | tuple[float, float]
Shape = Literal["any", "lognormal", "exponential", "uniform", "normal"]
Role = Literal["strategy", "offender", "odd", "honest"]


class TalkPart(NamedTuple):
    """A part of the answered calls: its weight, the mean of their talk times, and the family that these come from."""

    weight: Range
    mean_s: Range
    shape: Shape = "any"
    least_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CallStream:
    """Calls of one kind. Shares are of attempts unless the name says so; the attempts left over are not answered.

    ``daily`` attempts begin between the hours ``opens`` and ``closes`` of a day (``closes`` may pass 24);
    a number of ``bursts`` puts them into that many spans of ``burst_s``, equally far apart. ``days`` says on which
    days, ``first_day`` from which on; each day has ``growth`` times the calls of the day before.

    ``callees``: ``fresh`` strangers, a ``known`` pool of mobile numbers, a ``district`` of so many consecutive numbers
    in any order, a ``sequence`` with a ``stride`` (a share ``gaps`` is left out), the tenant's ``own`` numbers. Each
    callee is tried ``tries`` times, ``gap_s`` apart, and if ``until_answered`` no more after an answer.

    Caller numbers: any of ``callers``; with ``per_caller`` each is used for so many calls and then replaced.
    ``wanted`` calls are the honest ones of a dishonest tenant.
    """

    daily: Range
    answered: Range
    talk: tuple[TalkPart, ...]
    opens: Range = (8.0, 9.5)
    closes: Range = (17.5, 20.5)
    bursts: Range = 0
    burst_s: Range = 600
    days: Literal["all", "every_other", "one"] = "all"
    first_day: float = 0
    growth: Range = 1.0
    rejected: Range = (0.02, 0.1)
    busy: Range = (0.02, 0.08)
    invalid: Range = (0.0, 0.04)
    unreachable: Range = (0.01, 0.06)
    blocked: Range = (0.0, 0.008)
    cancelled: Range = (0.0, 0.06)
    cancel_s: Range = (4, 15)
    callees: Literal["fresh", "known", "district", "sequence", "own"] = "fresh"
    pool: Range = 1
    stride: Range = 1
    gaps: Range = 0.0
    tries: Range = 1
    gap_s: Range = 60
    until_answered: bool = False
    callers: Range = (1, 10)
    per_caller: Range = 0
    callee_hangs_up: Range = (0.3, 0.6)
    machine: Range = (0.0, 0.08)
    consent: Range = (0.88, 1.0)
    one_consent: bool = False
    inbound: Range = 0.0
    wanted: bool = False


@dataclass(frozen=True, slots=True)
class TenantKind:
    """A kind of tenant: ``about`` says in a few words what it does, ``role`` what a policy should make of it.

    A ``strategy`` is a dishonest tenant who has read the policy, an ``offender`` one who has not. ``odd`` businesses
    look dishonest and are not.
    """

    name: str
    role: Role
    about: str
    streams: tuple[CallStream, ...]

    @property
    def honest(self) -> bool:
        """Whether no decision should fall on it."""
        return self.role in ("odd", "honest")


def talk(*parts: TalkPart) -> tuple[TalkPart, ...]:
    """A mixture of talk times."""
    return parts


def brief(weight: Range) -> TalkPart:
    """Calls that are cut off at once."""
    return TalkPart(weight, (2.0, 3.6), "uniform")
