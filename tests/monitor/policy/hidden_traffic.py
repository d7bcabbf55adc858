"""Traffic of honest and bad tenants, written independently of our simulator: a second test of the rules.

Nothing is shared with `monitor.simulate`. Each tenant draws its figures from wide ranges and its talk times from one of
several families (exponential, log-normal, uniform, normal, mixtures; whole seconds or ms), because authors differ in
these more than in anything else. Each kind's name describes it; the ranges are assumptions, wider than any one
author's.
"""

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
MONDAY = 1_772_380_800_000  # 2026-03-02 00:00 in Shanghai

Talk = Callable[[], float]  # seconds
Row = dict[str, Any]


@dataclass
class Tenant:
    """One tenant: its records by end, and the time since which it is bad (None: honest)."""

    id: str
    kind: str
    since_ms: int | None = None
    rows: list[tuple[int, Row]] = field(default_factory=list)


@dataclass
class Habit:
    """How a tenant calls; shares are of attempts, and the rest is ``no_answer``."""

    asr: float
    talk: Talk
    rejected: float = 0.05
    busy: float = 0.04
    invalid: float = 0.01
    unreachable: float = 0.03
    carrier_blocked: float = 0.002
    cancelled: float = 0.02
    callers: int = 3
    callee_hangs_up: float = 0.5
    machine: float = 0.05
    consent: float = 0.97
    whole_seconds: bool = False

    def outcome(self, rng: Random) -> str:
        draw = rng.random()
        for name, share in (
            ("answered", self.asr),
            ("rejected", self.rejected),
            ("busy", self.busy),
            ("invalid_number", self.invalid),
            ("unreachable", self.unreachable),
            ("carrier_blocked", self.carrier_blocked),
            ("cancelled", self.cancelled),
        ):
            if draw < share:
                return name
            draw -= share
        return "no_answer"


@dataclass(frozen=True)
class Filled:
    """Which optional fields the platform fills."""

    consent_id: bool = True
    hangup_by: bool = True
    ring_ms: bool = True
    answered_by: bool = True


NOTHING_FILLED = Filled(False, False, False, False)


class Maker:
    """Makes one tenant's records. Every random number comes from ``rng``."""

    def __init__(self, tenant: Tenant, rng: Random, filled: Filled) -> None:
        self.tenant, self.rng, self.filled = tenant, rng, filled
        self.made = 0
        self.own = f"+8610{rng.randrange(10**4):04d}"

    def fresh(self) -> str:
        """A mobile number that was hardly dialled before."""
        return f"+861{self.rng.choice('3578')}{self.rng.randrange(10**9):09d}"

    def call(self, at_ms: int, callee: str, habit: Habit, caller: int | None = None, outcome: str | None = None) -> int:
        """One outbound attempt; returns when it ended."""
        rng = self.rng
        outcome = outcome or habit.outcome(rng)
        ring = at_ms + int(rng.uniform(0.5, 5) * SECOND)
        rung = {"rejected": (2, 12), "cancelled": (1, 20), "no_answer": (15, 60), "answered": (2, 25)}
        row: Row = {
            "type": "cdr",
            "call_id": f"{self.tenant.id}-{self.made}",
            "tenant_id": self.tenant.id,
            "direction": "outbound",
            "caller": f"{self.own}{rng.randrange(habit.callers) if caller is None else caller:04d}",
            "callee": callee,
            "start_ms": at_ms,
            "outcome": outcome,
        }
        end = at_ms + int(rng.uniform(0.3, 4) * SECOND)
        if outcome in rung:
            if self.filled.ring_ms:
                row["ring_ms"] = ring
            end = ring + int(rng.uniform(*rung[outcome]) * SECOND)
        if outcome == "answered":
            talk = max(0.0, habit.talk())
            row["answer_ms"] = end
            talk_ms = int(talk) * SECOND if habit.whole_seconds else int(talk * SECOND)
            end += talk_ms
            if self.filled.hangup_by:
                row["hangup_by"] = "callee" if rng.random() < habit.callee_hangs_up else "caller"
            if self.filled.answered_by:
                row["answered_by"] = "machine" if rng.random() < habit.machine else "human"
            if self.filled.consent_id and rng.random() < habit.consent:
                row["consent_id"] = f"consent-{callee}"
        row["end_ms"] = end
        self.made += 1
        self.tenant.rows.append((end, row))
        return end

    def inbound(self, at_ms: int, habit: Habit) -> None:
        """One inbound call."""
        row = {
            "type": "cdr",
            "call_id": f"{self.tenant.id}-{self.made}",
            "tenant_id": self.tenant.id,
            "direction": "inbound",
            "caller": self.fresh(),
            "callee": f"{self.own}0000",
            "start_ms": at_ms,
        }
        if self.rng.random() < 0.9:
            end = at_ms + 5 * SECOND + int(max(0.0, habit.talk()) * SECOND)
            row |= {"outcome": "answered", "answer_ms": at_ms + 5 * SECOND, "end_ms": end}
        else:
            end = at_ms + 20 * SECOND
            row |= {"outcome": "cancelled", "end_ms": end}
        self.made += 1
        self.tenant.rows.append((end, row))

    def complain(self, at_ms: int, category: str, complainant: str | None, status: str = "received") -> None:
        """One complaint in one status."""
        self.made += 1
        row = {
            "type": "complaint",
            "complaint_id": f"{self.tenant.id}-k{self.made}",
            "tenant_id": self.tenant.id,
            "category": category,
            "status": "received",
            "reported_ms": at_ms,
            "updated_ms": at_ms,
            "complainant": complainant,
        }
        self.tenant.rows.append((at_ms, row))
        if status != "received":
            later = at_ms + self.rng.randrange(HOUR, 20 * HOUR)
            self.tenant.rows.append((later, row | {"status": status, "updated_ms": later}))

    # Times of day ---------------------------------------------------------------------------------------------

    def times(self, day_ms: int, count: int, opens: float, closes: float) -> list[int]:
        """Starts within ``[opens, closes)`` hours of the day (which may pass midnight), evenly or with a peak."""
        width = (closes - opens) * HOUR
        shape = self.rng.choice(("even", "even", "peak", "office"))
        found: list[int] = []
        while len(found) < count:
            share = self.rng.random()
            if shape == "peak":
                share = self.rng.gauss(0.45, 0.2)
            elif shape == "office" and 0.4 < share < 0.5 and self.rng.random() < 0.7:
                continue
            if 0 <= share < 1:
                found.append(day_ms + int(opens * HOUR + share * width))
        return sorted(found)

    def spread(self, days: int, daily: int, opens: float, closes: float) -> Iterator[int]:
        """Starts of all days, in order; no two days have the same count."""
        for day in range(days):
            yield from self.times(MONDAY + day * DAY, max(1, round(daily * self.rng.uniform(0.8, 1.2))), opens, closes)

    # Talk times -----------------------------------------------------------------------------------------------

    def talk(self, mean_s: float) -> Talk:
        """Talk times of about that mean, from a random family of distributions."""
        rng = self.rng
        sigma = rng.uniform(0.5, 0.9)
        return rng.choice(
            (
                lambda: rng.expovariate(1 / mean_s),
                lambda: rng.lognormvariate(math.log(mean_s) - sigma * sigma / 2, sigma),
                lambda: rng.uniform(0.2 * mean_s, 1.8 * mean_s),
                lambda: max(1.0, rng.gauss(mean_s, 0.4 * mean_s)),
            )
        )

    def mixed(self, *parts: tuple[float, Talk]) -> Talk:
        """One of several, by weight; the last takes the rest."""

        def drawn() -> float:
            draw = self.rng.random()
            for weight, talk in parts[:-1]:
                if draw < weight:
                    return talk()
                draw -= weight
            return parts[-1][1]()

        return drawn

    def brief(self) -> Talk:
        """The length of a call that is cut off at once: at most six seconds."""
        rng = self.rng
        return rng.choice((lambda: rng.uniform(1, 6), lambda: rng.uniform(0.5, 5.5), lambda: rng.triangular(1, 6, 3)))

    def sales(self) -> Habit:
        """An ordinary outbound desk."""
        rng = self.rng
        short = rng.uniform(0.02, 0.12)
        return Habit(
            asr=rng.uniform(0.3, 0.65),
            talk=self.mixed((short, self.brief()), (1.0, self.talk(rng.uniform(40, 140)))),
            rejected=rng.uniform(0.02, 0.12),
            busy=rng.uniform(0.02, 0.08),
            invalid=rng.uniform(0, 0.04),
            unreachable=rng.uniform(0.01, 0.06),
            carrier_blocked=rng.uniform(0, 0.01),
            cancelled=rng.uniform(0, 0.08),
            callers=rng.randint(1, 10),
            callee_hangs_up=rng.uniform(0.3, 0.6),
            consent=rng.uniform(0.88, 1.0),
            whole_seconds=rng.random() < 0.4,
        )


# Honest tenants ------------------------------------------------------------------------------------------------------


def sales_desk(m: Maker, days: int) -> None:
    """An ordinary desk; a third of its calls may be to customers called before."""
    habit, again = m.sales(), m.rng.uniform(0, 0.35)
    called = [m.fresh()]
    for at in m.spread(days, m.rng.randint(60, 1500), m.rng.uniform(8, 9.5), m.rng.uniform(17.5, 20.5)):
        callee = m.rng.choice(called) if m.rng.random() < again else m.fresh()
        called.append(callee)
        m.call(at, callee, habit)


def many_seats(m: Maker, days: int) -> None:
    """A large desk where every seat has a number of its own."""
    habit = m.sales()
    seats = m.rng.randint(30, 150)
    habit.callers = seats
    for at in m.spread(days, seats * m.rng.randint(30, 60), m.rng.uniform(8, 9.5), m.rng.uniform(17.5, 19)):
        m.call(at, m.fresh(), habit)


def notification_robot(m: Maker, days: int) -> None:
    """Plays a message of some seconds to people who asked for it; a third of them may not hear it out."""
    rng = m.rng
    length = rng.uniform(5, 16)
    impatient = rng.uniform(0, 0.35)
    habit = Habit(
        asr=rng.uniform(0.55, 0.9),
        talk=m.mixed((impatient, m.brief()), (1.0, m.talk(length))),
        rejected=rng.uniform(0.01, 0.08),
        invalid=rng.uniform(0, 0.05),
        carrier_blocked=rng.uniform(0, 0.008),
        callers=rng.randint(1, 20),
        callee_hangs_up=rng.uniform(0.2, 0.9),
        machine=rng.uniform(0, 0.3),
        consent=rng.uniform(0.97, 1.0),
        whole_seconds=rng.random() < 0.4,
    )
    for at in m.spread(days, rng.randint(500, 4000), rng.uniform(8, 9.5), rng.uniform(17, 20.8)):
        m.call(at, m.fresh(), habit)


def reminder_robot(m: Maker, days: int) -> None:
    """Calls each customer up to three times, until the call is answered."""
    rng = m.rng
    habit = Habit(
        asr=rng.uniform(0.45, 0.8),
        talk=m.mixed((rng.uniform(0, 0.25), m.brief()), (1.0, m.talk(rng.uniform(8, 35)))),
        rejected=rng.uniform(0.01, 0.1),
        invalid=rng.uniform(0, 0.05),
        callers=rng.randint(1, 8),
        callee_hangs_up=rng.uniform(0.2, 0.9),
        machine=rng.uniform(0, 0.3),
        consent=rng.uniform(0.96, 1.0),
        whole_seconds=rng.random() < 0.4,
    )
    gap = rng.choice((2 * MINUTE, 30 * MINUTE, 2 * HOUR))
    for at in m.spread(days, rng.randint(200, 1500), rng.uniform(8, 9.5), rng.uniform(15, 17.5)):
        callee = m.fresh()
        for attempt in range(3):
            outcome = habit.outcome(rng)
            m.call(at + attempt * gap, callee, habit, outcome=outcome)
            if outcome == "answered" and rng.random() < 0.8:
                break


def courier(m: Maker, days: int) -> None:
    """Ten-second calls from the door, two or three where nobody answers."""
    rng = m.rng
    length = rng.uniform(8, 13)
    habit = Habit(
        asr=rng.uniform(0.65, 0.95),
        talk=rng.choice(
            (
                lambda: rng.gauss(length, 1.5),
                lambda: rng.uniform(length - 3, length + 3),
                lambda: rng.expovariate(1 / length),
                lambda: rng.lognormvariate(math.log(length), 0.4),
            )
        ),
        rejected=rng.uniform(0, 0.05),
        invalid=rng.uniform(0, 0.03),
        callers=rng.randint(1, 10),
        callee_hangs_up=rng.uniform(0.3, 0.8),
        consent=rng.choice((0.97, 1.0)),
        whole_seconds=rng.random() < 0.4,
    )
    for at in m.spread(days, rng.randint(80, 500), rng.uniform(7, 9), rng.uniform(18, 21)):
        callee = m.fresh()
        for attempt in range(rng.choice((1, 1, 1, 2, 3))):
            m.call(at + attempt * 2 * MINUTE, callee, habit)


def survey_institute(m: Maker, days: int) -> None:
    """Random digits: few answer, many numbers are dead, many hang up; participants stay for minutes."""
    rng = m.rng
    part = rng.uniform(0.2, 0.6)
    short = rng.uniform(0.1, 0.33)
    minutes = rng.uniform(2.5, 10) * 60
    habit = Habit(
        asr=rng.uniform(0.1, 0.28),
        talk=m.mixed((short, m.brief()), (part, m.talk(minutes)), (1.0, m.talk(rng.uniform(12, 45)))),
        rejected=rng.uniform(0.04, 0.2),
        invalid=rng.uniform(0.03, 0.18),
        unreachable=rng.uniform(0.02, 0.1),
        callers=rng.randint(1, 20),
        callee_hangs_up=rng.uniform(0.3, 0.7),
        consent=rng.uniform(0.9, 1.0),
        whole_seconds=rng.random() < 0.4,
    )
    for at in m.spread(days, rng.randint(300, 3000), rng.uniform(8.5, 10), rng.uniform(18, 20.8)):
        m.call(at, m.fresh(), habit)


def one_question_poll(m: Maker, days: int) -> None:
    """Random digits, too, but with calls below a minute: a survey without its long talks."""
    rng = m.rng
    habit = Habit(
        asr=rng.uniform(0.12, 0.3),
        talk=m.mixed((rng.uniform(0.05, 0.22), m.brief()), (1.0, m.talk(rng.uniform(35, 90)))),
        rejected=rng.uniform(0.04, 0.15),
        invalid=rng.uniform(0.03, 0.14),
        callers=rng.randint(1, 20),
        consent=rng.uniform(0.9, 1.0),
        whole_seconds=rng.random() < 0.4,
    )
    for at in m.spread(days, rng.randint(300, 2500), rng.uniform(8.5, 10), rng.uniform(18, 20.8)):
        m.call(at, m.fresh(), habit)


def night_desk(m: Maker, days: int) -> None:
    """Roadside help, logistics, a hospital: calls at night, few and wanted, often to the same people."""
    rng = m.rng
    habit = Habit(
        asr=rng.uniform(0.58, 0.92),
        talk=m.mixed((rng.uniform(0, 0.1), m.brief()), (1.0, m.talk(rng.uniform(30, 180)))),
        rejected=rng.uniform(0, 0.05),
        invalid=rng.uniform(0, 0.02),
        callers=rng.randint(1, 4),
        consent=rng.uniform(0.95, 1.0),
        whole_seconds=rng.random() < 0.4,
    )
    opens, closes = rng.choice(((20, 32), (21, 32), (22, 30), (18, 30), (0, 24), (0, 7)))
    known = [m.fresh() for _ in range(rng.randint(20, 80))] if rng.random() < 0.5 else []
    for at in m.spread(days, rng.randint(30, 300), opens, closes):
        callee = rng.choice(known) if known and rng.random() < 0.4 else m.fresh()
        if rng.random() < 0.3:
            m.inbound(at, habit)
        m.call(at, callee, habit)


def tiny(m: Maker, days: int) -> None:
    """A handful of calls a day, too few for any ratio to be significant."""
    rng = m.rng
    habit = m.sales()
    habit.invalid, habit.rejected = rng.uniform(0, 0.25), rng.uniform(0, 0.25)
    habit.asr = rng.uniform(0.2, 0.6)
    habit.talk = m.mixed((rng.uniform(0, 0.4), m.brief()), (1.0, m.talk(rng.uniform(15, 120))))
    known = [m.fresh() for _ in range(rng.randint(2, 12))]
    opens, closes = rng.choice(((9, 18), (9, 18), (8, 23)))
    for at in m.spread(days, rng.randint(1, 15), opens, closes):
        m.call(at, rng.choice((rng.choice(known), m.fresh())), habit)


def start_up(m: Maker, days: int) -> None:
    """Twenty to eighty calls, some of them to bad numbers."""
    rng = m.rng
    habit = m.sales()
    daily = rng.randint(20, 80)
    habit.invalid = min(0.25, rng.uniform(3, 10) / daily)
    habit.asr = rng.uniform(0.35, 0.6)
    habit.consent = rng.uniform(0.88, 1.0)
    for at in m.spread(days, daily, rng.uniform(8, 10), rng.uniform(17, 20)):
        m.call(at, m.fresh(), habit)


def bombed(m: Maker, days: int) -> None:
    """An ordinary desk about which a rival complains repeatedly, under few names or under many."""
    sales_desk(m, days)
    rng = m.rng
    names = rng.choice((1, 3, 60))
    for _ in range(rng.randint(10, 50)):
        at = MONDAY + rng.randrange(9 * HOUR, days * DAY - DAY // 2)
        who = f"rival-{rng.randrange(names)}" if rng.random() < 0.95 else None
        category = rng.choice(("fraud", "harassment", "no_consent", "number_leak", "other"))
        m.complain(at, category, who, rng.choice(("received", "received", "dismissed")))


def giant(m: Maker, days: int, daily: int = 15_000) -> None:
    """Much of the platform's traffic, through five to ten numbers; some customers are called twice or three times."""
    habit = m.sales()
    habit.callers = m.rng.randint(5, 10)
    habit.asr = m.rng.uniform(0.4, 0.75)
    pool = [m.fresh() for _ in range(round(daily * m.rng.uniform(0.8, 3)))]
    opens, closes = m.rng.choice(((7.5, 19), (9, 22), (0, 24)))
    for at in m.spread(days, daily, opens, closes):
        m.call(at, m.rng.choice(pool), habit)


def call_centre(m: Maker, days: int) -> None:
    """Mostly inbound, round the clock, with some callbacks."""
    habit = m.sales()
    habit.asr, habit.rejected = m.rng.uniform(0.5, 0.8), m.rng.uniform(0.01, 0.05)
    for at in m.spread(days, m.rng.randint(100, 800), 6, 23.5):
        m.inbound(at, habit)
        if m.rng.random() < 0.4:
            m.call(at, m.fresh(), habit)


def own_extensions(m: Maker, days: int) -> None:
    """Calls a company's own block of extensions, one after another: in sequence, and wanted."""
    habit = Habit(asr=m.rng.uniform(0.8, 0.97), talk=m.talk(m.rng.uniform(15, 90)), rejected=0.01, invalid=0.003)
    base = m.rng.randrange(10**6)
    size = m.rng.randint(80, 300)
    for n, at in enumerate(m.spread(days, size, 9, 18)):
        m.call(at, f"+862155{base + n % size:07d}", habit)


# Bad tenants ---------------------------------------------------------------------------------------------------------


def blind(m: Maker) -> Habit:
    """How strangers' numbers answer: few do, many are dead, most of those who answer hang up at once."""
    rng = m.rng
    return Habit(
        asr=rng.uniform(0.1, 0.33),
        talk=m.mixed((rng.uniform(0.4, 0.75), m.brief()), (1.0, m.talk(rng.uniform(12, 65)))),
        rejected=rng.uniform(0.02, 0.2),
        invalid=rng.uniform(0.13, 0.4),
        unreachable=rng.uniform(0.02, 0.1),
        carrier_blocked=rng.uniform(0, 0.03),
        callers=rng.randint(2, 60),
        callee_hangs_up=rng.uniform(0.5, 0.95),
        consent=rng.uniform(0, 0.2),
        whole_seconds=rng.random() < 0.4,
    )


def blind_dialler(m: Maker, days: int) -> None:
    """Dials strangers."""
    habit = blind(m)
    for at in m.spread(days, m.rng.randint(400, 4000), m.rng.uniform(8, 9.5), m.rng.uniform(18, 20.8)):
        m.call(at, m.fresh(), habit)


def blind_on_live_numbers(m: Maker, days: int) -> None:
    """Dials strangers from a cleaned list: no dead numbers, and yet the calls are unwanted."""
    habit = blind(m)
    habit.invalid = m.rng.uniform(0, 0.06)
    habit.asr = m.rng.uniform(0.12, 0.3)
    habit.talk = m.mixed((m.rng.uniform(0.45, 0.75), m.brief()), (1.0, m.talk(m.rng.uniform(10, 35))))
    for at in m.spread(days, m.rng.randint(500, 4000), m.rng.uniform(8, 9.5), m.rng.uniform(18, 20.8)):
        m.call(at, m.fresh(), habit)


def turncoat(m: Maker, days: int) -> None:
    """An ordinary desk that begins to dial strangers on the second day."""
    habit, later = m.sales(), blind(m)
    turn = MONDAY + DAY + m.rng.randrange(8 * HOUR, 13 * HOUR)
    daily = m.rng.randint(600, 3000)
    m.tenant.since_ms = turn
    for at in m.spread(days, daily, 8.5, 19.5):
        m.call(at, m.fresh(), later if at >= turn else habit)


def sequential_dialler(m: Maker, days: int) -> None:
    """Goes through a range of numbers, with gaps or a little out of order."""
    rng = m.rng
    habit = blind(m)
    habit.asr, habit.invalid = rng.uniform(0.1, 0.4), rng.uniform(0.02, 0.4)
    if rng.random() < 0.5:
        habit.talk = m.sales().talk
    number, gaps = 13_000_000_000 + rng.randrange(8 * 10**9), rng.uniform(0, 0.35)
    for at in m.spread(days, rng.randint(300, 3000), rng.uniform(8, 9.5), rng.uniform(18, 20.8)):
        number += 1
        while rng.random() < gaps:
            number += 1
        m.call(at, f"+86{number + rng.choice((0, 0, 0, 3, -3))}", habit)


def number_rotation(m: Maker, days: int) -> None:
    """Hundreds of own numbers with a few calls each; carriers block some of them."""
    rng = m.rng
    habit = blind(m)
    habit.asr, habit.invalid = rng.uniform(0.15, 0.45), rng.uniform(0, 0.15)
    habit.carrier_blocked = rng.uniform(0.06, 0.25)
    if rng.random() < 0.5:
        habit.talk = m.sales().talk
    few = rng.randint(2, 12)
    for n, at in enumerate(m.spread(days, rng.randint(500, 3000), rng.uniform(8, 9.5), rng.uniform(18, 20.8))):
        m.call(at, m.fresh(), habit, caller=n // few)


def rotation_unblocked(m: Maker, days: int) -> None:
    """The same before any carrier has noticed; only the numbers distinguish it from a desk."""
    rng = m.rng
    habit = m.sales()
    habit.asr = rng.uniform(0.2, 0.5)
    few = rng.randint(1, 7)
    for n, at in enumerate(m.spread(days, rng.randint(700, 3000), rng.uniform(8, 9.5), rng.uniform(17.5, 20))):
        m.call(at, m.fresh(), habit, caller=n // few)


def harasser(m: Maker, days: int) -> None:
    """Calls the same people six to thirty times a day, possibly among ordinary calls."""
    rng = m.rng
    habit = m.sales()
    habit.asr, habit.rejected = rng.uniform(0.2, 0.55), rng.uniform(0.15, 0.4)
    victims, times = rng.randint(6, 40), rng.randint(7, 30)
    beside = rng.choice((0, 0, 0.5, 1)) * victims * times
    for day in range(days):
        callees = [m.fresh() for _ in range(victims)] * times + [m.fresh() for _ in range(int(beside))]
        rng.shuffle(callees)
        for at, callee in zip(m.times(MONDAY + day * DAY, len(callees), 8.5, 20.5), callees, strict=True):
            m.call(at, callee, habit)


def harasser_of_few(m: Maker, days: int) -> None:
    """Calls one to four people twenty times a day and more, and hardly any others."""
    rng = m.rng
    habit = m.sales()
    habit.asr, habit.rejected = rng.uniform(0.15, 0.45), rng.uniform(0.15, 0.4)
    victims = [m.fresh() for _ in range(rng.randint(1, 4))]
    for at in m.spread(days, len(victims) * rng.randint(25, 45), 8.5, 20.5):
        m.call(at, rng.choice(victims) if rng.random() < 0.9 else m.fresh(), habit)


def harasser_among_others(m: Maker, days: int) -> None:
    """Calls some people all day, among an ordinary desk's calls whose figures hide it."""
    habit = m.sales()
    habit.asr = m.rng.uniform(0.3, 0.55)
    victims, times = m.rng.randint(5, 20), m.rng.randint(16, 30)
    for day in range(days):
        callees = [m.fresh() for _ in range(victims)] * times
        callees += [m.fresh() for _ in range(int(m.rng.uniform(0.5, 1.4) * len(callees)))]
        m.rng.shuffle(callees)
        for at, callee in zip(m.times(MONDAY + day * DAY, len(callees), 8.5, 20.5), callees, strict=True):
            m.call(at, callee, habit)


def redialler(m: Maker, days: int) -> None:
    """Calls every callee four to eight times within five minutes."""
    rng = m.rng
    habit = m.sales()
    habit.asr, habit.rejected = rng.uniform(0.15, 0.5), rng.uniform(0.15, 0.45)
    for at in m.spread(days, rng.randint(40, 250), 8.5, 20.5):
        callee, when = m.fresh(), at
        for _ in range(rng.randint(4, 8)):
            m.call(when, callee, habit)
            when += rng.randrange(15 * SECOND, 45 * SECOND)


def two_second_burst(m: Maker, days: int) -> None:
    """Thousands of calls of two seconds within minutes, possibly among an ordinary desk's."""
    rng = m.rng
    burst = m.sales()
    burst.asr = rng.uniform(0.25, 0.95)
    burst.rejected = burst.busy = burst.cancelled = 0.02
    burst.invalid = rng.uniform(0, 0.06)
    burst.consent = 0.0
    burst.callers = rng.randint(1, 60)
    burst.talk = rng.choice(
        (
            lambda: rng.uniform(0, 2),
            lambda: rng.uniform(1, 2.5),
            lambda: rng.gauss(2, 0.3),
            lambda: rng.choice((0, 1, 2)),
        )
    )
    for day in range(days):
        for _ in range(rng.randint(1, 3)):
            begins = MONDAY + day * DAY + rng.randrange(9 * HOUR, 19 * HOUR)
            width = rng.uniform(3, 20) * MINUTE
            for _ in range(rng.randint(500, 2500)):
                m.call(begins + int(rng.random() * width), m.fresh(), burst)
    m.tenant.since_ms = min(row["start_ms"] for _, row in m.tenant.rows)
    if rng.random() < 0.5:
        habit = m.sales()
        for at in m.spread(days, rng.randint(100, 800), 9, 18):
            m.call(at, m.fresh(), habit)


def consent_forger(m: Maker, days: int) -> None:
    """Calls like any desk, with a proof of consent for almost none of its callees."""
    habit = m.sales()
    habit.consent = m.rng.uniform(0, 0.3)
    for at in m.spread(days, m.rng.randint(150, 1500), 9, 18.5):
        m.call(at, m.fresh(), habit)


def night_caller(m: Maker, days: int) -> None:
    """Sells at night, to people who do not want it."""
    rng = m.rng
    habit = m.sales()
    habit.asr, habit.rejected = rng.uniform(0.15, 0.45), rng.uniform(0.1, 0.28)
    habit.talk = m.mixed((rng.uniform(0.15, 0.5), m.brief()), (1.0, m.talk(rng.uniform(20, 80))))
    habit.invalid, habit.consent = rng.uniform(0, 0.12), rng.uniform(0, 0.3)
    opens, closes = rng.choice(((21, 32), (20, 30), (21, 27), (19, 24), (0, 8)))
    for at in m.spread(days, rng.randint(150, 1500), opens, closes):
        m.call(at, m.fresh(), habit)


def night_caller_unrefused(m: Maker, days: int) -> None:
    """Sells at night with a desk's ordinary figures: only the missing consent reveals it."""
    habit = m.sales()
    habit.consent = m.rng.uniform(0, 0.3)
    for at in m.spread(days, m.rng.randint(150, 1000), 21, 31):
        m.call(at, m.fresh(), habit)


HONEST: dict[str, Callable[[Maker, int], None]] = {
    make.__name__: make
    for make in (
        sales_desk,
        many_seats,
        notification_robot,
        reminder_robot,
        courier,
        survey_institute,
        one_question_poll,
        night_desk,
        tiny,
        start_up,
        bombed,
        giant,
        call_centre,
        own_extensions,
    )
}
BAD: dict[str, Callable[[Maker, int], None]] = {
    make.__name__: make
    for make in (
        blind_dialler,
        blind_on_live_numbers,
        turncoat,
        sequential_dialler,
        number_rotation,
        rotation_unblocked,
        harasser,
        harasser_of_few,
        harasser_among_others,
        redialler,
        two_second_burst,
        night_caller,
    )
}
# Bad tenants that only an optional field reveals.
HIDDEN: dict[str, Callable[[Maker, int], None]] = {
    make.__name__: make for make in (consent_forger, night_caller_unrefused)
}


def tenant(kind: str, number: int, seed: int, days: int, filled: Filled) -> Tenant:
    """The same for the same arguments."""
    made = Tenant(f"{kind}-{number}", kind)
    rng = Random(f"{seed} {kind} {number}")
    (HONEST | BAD | HIDDEN)[kind](Maker(made, rng, filled), days)
    if kind not in HONEST and made.since_ms is None:
        made.since_ms = min(row["start_ms"] for _, row in made.rows)
    return made


def write(path: Path, tenants: list[Tenant]) -> None:
    """All records in one file by event time."""
    rows = sorted((row for each in tenants for row in each.rows), key=lambda item: item[0])
    with path.open("w", encoding="utf-8") as out:
        out.writelines(json.dumps(row) + "\n" for _, row in rows)
