"""Honest tenants of `hidden_traffic`, a function for each kind."""

import math
from collections.abc import Callable

from hidden_maker import DAY, HOUR, MINUTE, MONDAY, Habit, Maker


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
