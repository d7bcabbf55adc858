"""Bad tenants of `hidden_traffic`, a function for each kind."""

from collections.abc import Callable

from hidden_maker import DAY, HOUR, MINUTE, MONDAY, SECOND, Habit, Maker


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
