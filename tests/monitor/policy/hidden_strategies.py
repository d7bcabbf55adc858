"""Odd businesses and strategies against the policy, written independently of `monitor.simulate`: the hold-out.

No threshold was chosen on these. They use the parts of `hidden_traffic` alone.
"""

from collections.abc import Callable
from random import Random

from hidden_bad import blind
from hidden_maker import DAY, HOUR, MINUTE, MONDAY, SECOND, Filled, Habit, Maker, Tenant

Make = Callable[[Maker, int], None]

# Odd businesses ------------------------------------------------------------------------------------------------------


def alarm_panels(m: Maker, days: int) -> None:
    """A monitoring centre whose robot rings each alarm panel at night; the panel picks up and the robot hangs up."""
    rng = m.rng
    length = rng.uniform(0.8, 4)
    habit = Habit(rng.uniform(0.93, 1.0), lambda: rng.gauss(length, 0.3), 0, 0.01, 0, 0.01, machine=1.0, callers=1)
    panels = [m.fresh() for _ in range(rng.randint(15, 300))]
    for day in range(days):
        at = MONDAY + day * DAY + rng.randint(0, 4) * HOUR
        for panel in panels * rng.randint(1, 2):
            at += rng.randint(3, 25) * SECOND
            m.call(at, panel, habit)


def lift_lines(m: Maker, days: int) -> None:
    """Tests the emergency line of each lift every few hours; a house's lines have consecutive numbers."""
    rng = m.rng
    habit = Habit(rng.uniform(0.85, 1.0), lambda: rng.uniform(2, 8), 0, 0.02, rng.uniform(0, 0.03), 0.02, callers=1)
    base = rng.randrange(10**6)
    for lift in range(rng.randint(10, 120)):
        every = rng.choice((1, 2, 4, 6, 12))
        for n in range(days * 24 // every):
            m.call(MONDAY + n * every * HOUR + rng.randrange(HOUR), f"+862166{base + lift:06d}", habit)


def wake_up_calls(m: Maker, days: int) -> None:
    """A hotel; a guest who does not answer is called again every two minutes."""
    rng = m.rng
    habit = Habit(rng.uniform(0.6, 0.9), lambda: rng.uniform(1.5, 7), rng.uniform(0, 0.1), callers=1, invalid=0)
    for day in range(days):
        for _ in range(rng.randint(20, 200)):
            at = MONDAY + day * DAY + int(rng.gauss(6.5, 0.8) * HOUR)
            room = f"+86755880{rng.randint(1, 30):02d}{rng.randint(1, 20):02d}"
            for again in range(6):
                outcome = habit.outcome(rng)
                m.call(at + again * 2 * MINUTE, room, habit, outcome=outcome)
                if outcome == "answered":
                    break


def flash_calls(m: Maker, days: int) -> None:
    """A missed call from a random number of its pool proves that a phone is there."""
    rng = m.rng
    habit = Habit(
        rng.uniform(0.0, 0.08),
        lambda: rng.uniform(0.5, 2.5),
        rejected=rng.uniform(0.03, 0.3),
        cancelled=rng.uniform(0.5, 0.8),
        invalid=rng.uniform(0.005, 0.06),
        carrier_blocked=rng.uniform(0, 0.06),
        callers=rng.choice((10, 100, 1000)),
    )
    for at in m.spread(days, rng.randint(200, 2000), 0, 24):
        callee = m.fresh()
        for again in range(rng.choice((1, 1, 2, 3))):
            m.call(at + again * 40 * SECOND, callee, habit)


def random_digit_poll(m: Maker, days: int) -> None:
    """One question; the interview takes the time to say it, those who do not want it hang up."""
    rng = m.rng
    question = rng.uniform(10, 25)
    habit = Habit(
        rng.uniform(0.1, 0.33),
        m.mixed((rng.uniform(0.1, 0.38), m.brief()), (1.0, lambda: question + rng.expovariate(1 / 12))),
        rejected=rng.uniform(0.05, 0.2),
        invalid=rng.uniform(0.05, 0.24),
        unreachable=rng.uniform(0.02, 0.1),
        callers=rng.randint(1, 15),
    )
    for at in m.spread(days, rng.randint(300, 1800), 9, 20):
        m.call(at, m.fresh(), habit)


def fitters(m: Maker, days: int) -> None:
    """A dispatcher with a few fitters on the road, who are often busy or on a ladder."""
    rng = m.rng
    habit = Habit(
        rng.uniform(0.35, 0.6),
        m.mixed((rng.uniform(0.05, 0.25), m.brief()), (1.0, m.talk(rng.uniform(20, 70)))),
        rejected=rng.uniform(0.04, 0.2),
        busy=rng.uniform(0.05, 0.2),
        callers=1,
        invalid=0,
    )
    crew = [m.fresh() for _ in range(rng.randint(3, 12))]
    for at in m.spread(days, rng.randint(20, 70), 7, 19):
        who = rng.choice(crew)
        for again in range(5):
            outcome = habit.outcome(rng)
            m.call(at + again * rng.randint(40, 200) * SECOND, who, habit, outcome=outcome)
            if outcome == "answered":
                break


def blood_donors(m: Maker, days: int) -> None:
    """Asks donors after work, until ten in the evening."""
    habit = m.sales()
    habit.asr, habit.rejected = m.rng.uniform(0.35, 0.6), m.rng.uniform(0.04, 0.15)
    for at in m.spread(days, m.rng.randint(100, 500), 17, m.rng.uniform(21.5, 22.5)):
        m.call(at, m.fresh(), habit)


def town_warning(m: Maker, days: int) -> None:
    """A flood warning at three in the morning of the first night; a small office by day."""
    rng = m.rng
    habit = Habit(
        rng.uniform(0.3, 0.65),
        m.mixed((rng.uniform(0.1, 0.4), m.brief()), (1.0, lambda: rng.uniform(10, 30))),
        rejected=rng.uniform(0.04, 0.22),
        invalid=rng.uniform(0, 0.08),
        callers=rng.randint(1, 20),
    )
    base = rng.randrange(10**6)
    town = list(range(rng.randint(1500, 4000)))
    rng.shuffle(town)
    for n in town[: rng.randint(1000, 1500)]:
        m.call(MONDAY + 3 * HOUR + rng.randrange(HOUR), f"+86571{base + n:07d}", habit)
    for at in m.spread(days, 25, 9, 17):
        m.call(at, m.fresh(), m.sales())


def product_recall(m: Maker, days: int) -> None:
    """Warns the buyers of a boiler; a third of the addresses of ten years ago are dead."""
    rng = m.rng
    habit = Habit(
        rng.uniform(0.18, 0.4),
        m.mixed((rng.uniform(0.08, 0.3), m.brief()), (1.0, m.talk(rng.uniform(40, 120)))),
        rejected=rng.uniform(0.03, 0.12),
        invalid=rng.uniform(0.18, 0.42),
    )
    for at in m.spread(days, rng.randint(200, 1200), 9, 19):
        m.call(at, m.fresh(), habit)


def overseas_travel(m: Maker, days: int) -> None:
    """A travel agency whose customers live eight time zones away."""
    habit = m.sales()
    habit.asr, habit.rejected = m.rng.uniform(0.35, 0.6), m.rng.uniform(0.03, 0.13)
    for at in m.spread(days, m.rng.randint(60, 400), 16, 26):
        m.call(at, m.fresh(), habit)


def brief_messages(m: Maker, days: int) -> None:
    """A robot whose message takes two to six seconds."""
    rng = m.rng
    length = rng.uniform(2, 6)
    habit = Habit(
        rng.uniform(0.5, 0.9), lambda: rng.gauss(length, 0.4), rng.uniform(0.01, 0.08), invalid=rng.uniform(0, 0.05)
    )
    for at in m.spread(days, rng.randint(300, 1500), 9, 20):
        m.call(at, m.fresh(), habit)


# Strategies ----------------------------------------------------------------------------------------------------------


def _sold(m: Maker, days: int, habit: Habit, daily: int) -> None:
    for at in m.spread(days, daily, 8.5, 20):
        m.call(at, m.fresh(), habit)


def seven_seconds(m: Maker, days: int) -> None:
    """Keeps everybody on the line for seven seconds; a fifth of the numbers are dead."""
    habit = blind(m)
    habit.talk = lambda: 7 + m.rng.expovariate(1.0)
    _sold(m, days, habit, m.rng.randint(300, 1200))


def long_calls_to_oneself(m: Maker, days: int) -> None:
    """A dozen calls of ten minutes a day to two own numbers."""
    _sold(m, days, blind(m), m.rng.randint(400, 1200))
    own = Habit(1.0, lambda: m.rng.uniform(400, 900), 0, 0, 0, 0, 0, 0)
    for at in m.spread(days, m.rng.randint(8, 15), 9, 19):
        m.call(at, f"{m.own}99{m.rng.randrange(2)}", own)


def answering_machines_of_ones_own(m: Maker, days: int) -> None:
    """As many calls to eight own robots as to strangers."""
    daily = m.rng.randint(250, 700)
    _sold(m, days, blind(m), daily)
    own = Habit(0.98, lambda: m.rng.uniform(10, 50), 0, 0, 0, 0, 0, 0)
    for at in m.spread(days, daily, 9, 19):
        m.call(at, f"{m.own}88{m.rng.randrange(8)}", own)


def sixty_a_day(m: Maker, days: int) -> None:
    """Sixty calls a day to strangers."""
    _sold(m, days, blind(m), 60)


def paced_bursts(m: Maker, days: int) -> None:
    """29 calls of two seconds, then nothing for 67 minutes."""
    habit = Habit(1.0, lambda: m.rng.uniform(1, 2.6), 0, 0, 0, 0, 0, 0, callers=20, consent=0)
    for day in range(days):
        for burst in range(11):
            for n in range(29):
                m.call(MONDAY + day * DAY + 8 * HOUR + burst * 67 * MINUTE + n * 4 * SECOND, m.fresh(), habit)


def one_ring_in_three(m: Maker, days: int) -> None:
    """Every third attempt is cancelled after one ring; ninety attempts an hour."""
    habit = m.sales()
    habit.asr = m.rng.uniform(0.25, 0.45)
    for day in range(days):
        for n in range(90 * 11):
            at = MONDAY + day * DAY + 9 * HOUR + n * 40 * SECOND
            if n % 3:
                m.call(at, m.fresh(), habit)
            else:
                ring = at + 2 * SECOND
                end = ring + m.rng.randint(600, 2200)
                row = {
                    "type": "cdr", "call_id": f"{m.tenant.id}-ring{day}-{n}", "tenant_id": m.tenant.id,
                    "direction": "outbound", "caller": f"{m.own}0001", "callee": m.fresh(), "start_ms": at,
                    "ring_ms": ring, "outcome": "cancelled", "end_ms": end,
                }  # fmt: skip
                if not m.filled.ring_ms:
                    del row["ring_ms"]
                m.tenant.rows.append((end, row))


def hidden_rotation(m: Maker, days: int) -> None:
    """220 numbers with five calls a day each, and one with three hundred."""
    habit = m.sales()
    habit.asr = m.rng.uniform(0.2, 0.5)
    for n, at in enumerate(m.spread(days, 1400, 8.5, 20)):
        m.call(at, m.fresh(), habit, caller=0 if n % 5 == 0 else 1 + n % 220)


def every_other_number(m: Maker, days: int) -> None:
    """Goes through a range in steps of two."""
    habit = blind(m)
    first = 13_500_000_000 + m.rng.randrange(10**8)
    for n, at in enumerate(m.spread(days, m.rng.randint(300, 1200), 8.5, 20)):
        m.call(at, f"+86{first + 2 * n}", habit)


def without_consent(m: Maker, days: int) -> None:
    """A desk that never asked anybody."""
    habit = m.sales()
    habit.consent = 0.0
    _sold(m, days, habit, m.rng.randint(200, 900))


def copied_consent(m: Maker, days: int) -> None:
    """The same consent id on every call."""
    habit = m.sales()
    _sold(m, days, habit, m.rng.randint(200, 900))
    for _, row in m.tenant.rows:
        if row["outcome"] == "answered" and m.filled.consent_id:
            row["consent_id"] = "the-one"


def two_victims(m: Maker, days: int) -> None:
    """Two people forty times a day among 250 others."""
    habit = m.sales()
    victims = [m.fresh(), m.fresh()]
    for day in range(days):
        callees = [*victims * 40, *(m.fresh() for _ in range(250))]
        m.rng.shuffle(callees)
        for at, callee in zip(m.times(MONDAY + day * DAY, len(callees), 8.5, 20.5), callees, strict=True):
            m.call(at, callee, habit)


def ten_victims(m: Maker, days: int) -> None:
    """Ten people twenty-five times a day in 5,300 calls."""
    habit = m.sales()
    habit.callers = 40
    victims = [m.fresh() for _ in range(10)]
    for day in range(days):
        callees = [*victims * 25, *(m.fresh() for _ in range(5050))]
        m.rng.shuffle(callees)
        for at, callee in zip(m.times(MONDAY + day * DAY, len(callees), 8.5, 20.5), callees, strict=True):
            m.call(at, callee, habit)


def a_fifth_by_night(m: Maker, days: int) -> None:
    """A fifth of the calls at night; by day an ordinary desk."""
    daily = m.rng.randint(200, 600)
    _sold(m, days, m.sales(), daily)
    night = m.sales()
    night.asr, night.rejected = m.rng.uniform(0.2, 0.45), m.rng.uniform(0.12, 0.3)
    for at in m.spread(days, daily // 4, 21.2, 25):
        m.call(at, m.fresh(), night)


def creeping(m: Maker, days: int) -> None:
    """A desk that doubles its calls to strangers every day."""
    _sold(m, days, m.sales(), 250)
    habit, daily = blind(m), 80
    for day in range(days):
        for at in m.times(MONDAY + day * DAY, daily, 9, 19):
            m.call(at, m.fresh(), habit)
        daily *= 2


def day_on_day_off(m: Maker, days: int) -> None:
    """Strangers on every other day."""
    habit = blind(m)
    for day in range(0, days, 2):
        for at in m.times(MONDAY + day * DAY, m.rng.randint(300, 900), 9, 19):
            m.call(at, m.fresh(), habit)


ODD: dict[str, Make] = {
    make.__name__: make
    for make in (
        alarm_panels, lift_lines, wake_up_calls, flash_calls, random_digit_poll, fitters, blood_donors, town_warning,
        product_recall, overseas_travel, brief_messages,
    )
}  # fmt: skip
STRATEGIES: dict[str, Make] = {
    make.__name__: make
    for make in (
        seven_seconds, long_calls_to_oneself, answering_machines_of_ones_own, sixty_a_day, paced_bursts,
        one_ring_in_three, hidden_rotation, every_other_number, without_consent, copied_consent, two_victims,
        ten_victims, a_fifth_by_night, creeping, day_on_day_off,
    )
}  # fmt: skip


def tenant(kind: str, seed: int, days: int, filled: Filled) -> Tenant:
    """The same for the same arguments."""
    made = Tenant(kind, kind)
    (ODD | STRATEGIES)[kind](Maker(made, Random(f"{seed} {kind}"), filled), days)
    if kind in STRATEGIES:
        made.since_ms = min(row["start_ms"] for _, row in made.rows)
    return made
