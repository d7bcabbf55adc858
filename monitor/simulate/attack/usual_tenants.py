"""The usual tenants: ordinary honest ones, and offenders who have not read the policy, as data."""

from dataclasses import replace

from monitor.simulate.attack.strategies import BLIND, DESK, UNWANTED
from monitor.simulate.attack.streams import CallStream, Role, TalkPart, TenantKind, brief, talk

_SALES = replace(DESK, daily=(60, 1200), answered=(0.3, 0.65), rejected=(0.02, 0.12), cancelled=(0, 0.08))
_CENTRE = CallStream(
    daily=(200, 900),
    answered=(0.5, 0.8),
    talk=talk(brief((0.01, 0.08)), TalkPart(1.0, (60, 260))),
    opens=(6, 8),
    closes=(20, 23.5),
    rejected=(0.01, 0.05),
    inbound=(0.5, 0.9),
)
_REFUSED = replace(
    UNWANTED,
    answered=(0.2, 0.5),
    rejected=(0.15, 0.4),
    talk=talk(brief((0.2, 0.55)), TalkPart(0.6, (20, 80))),
    callee_hangs_up=(0.5, 0.9),
)


def _kind(role: Role, name: str, about: str, *streams: CallStream) -> TenantKind:
    return TenantKind(name, role, about, streams)


HONEST_TENANTS: tuple[TenantKind, ...] = (
    _kind("honest", "sales-desk", "an ordinary desk", _SALES),
    _kind(
        "honest",
        "returning-customers",
        "a desk that calls its customers again and again",
        replace(_SALES, daily=(60, 500), callees="known", pool=(400, 2000)),
    ),
    _kind(
        "honest",
        "many-seats",
        "every seat has a number of its own",
        replace(_SALES, daily=(1200, 2400), callers=(30, 60)),
    ),
    _kind("honest", "support-desk", "answers, and calls back", replace(_CENTRE, callees="known", pool=(200, 900))),
    _kind("honest", "inbound-centre", "is called round the clock", replace(_CENTRE, opens=0, closes=24, inbound=0.92)),
    _kind(
        "honest",
        "reminder-robot",
        "reminds each customer, up to three times",
        CallStream(
            daily=(150, 900),
            answered=(0.45, 0.8),
            talk=talk(brief((0.0, 0.25)), TalkPart(1.0, (8, 35))),
            closes=(15, 17.5),
            rejected=(0.01, 0.1),
            invalid=(0, 0.05),
            tries=3,
            gap_s=(120, 7200),
            until_answered=True,
            callee_hangs_up=(0.2, 0.9),
            machine=(0, 0.3),
        ),
    ),
    _kind(
        "honest",
        "courier",
        "ten seconds from the door",
        CallStream(
            daily=(80, 500),
            answered=(0.65, 0.95),
            talk=talk(TalkPart(1.0, (8, 13))),
            opens=(7, 9),
            closes=(18, 21),
            rejected=(0, 0.05),
            invalid=(0, 0.03),
            tries=(1, 3),
            gap_s=120,
            until_answered=True,
        ),
    ),
    _kind(
        "honest",
        "survey-institute",
        "random digits; those who take part talk for minutes",
        CallStream(
            daily=(300, 1500),
            answered=(0.1, 0.28),
            talk=talk(brief((0.1, 0.33)), TalkPart(0.4, (150, 600)), TalkPart(0.4, (12, 45))),
            opens=(8.5, 10),
            rejected=(0.04, 0.2),
            invalid=(0.03, 0.18),
            unreachable=(0.02, 0.1),
            callers=(1, 20),
        ),
    ),
    _kind(
        "honest",
        "night-desk",
        "roadside help, logistics, a hospital",
        CallStream(
            daily=(30, 300),
            answered=(0.58, 0.92),
            talk=talk(brief((0.0, 0.1)), TalkPart(1.0, (30, 180))),
            opens=(18, 22),
            closes=(28, 32),
            rejected=(0, 0.05),
            invalid=(0, 0.02),
            callers=(1, 4),
            callees="known",
            pool=(60, 400),
            inbound=(0, 0.3),
        ),
    ),
    _kind(
        "honest",
        "tiny",
        "a handful of calls a day",
        replace(_SALES, daily=(2, 15), invalid=(0, 0.25), rejected=(0, 0.25), callees="known", pool=(8, 40)),
    ),
    _kind(
        "honest",
        "start-up",
        "few calls, some to bad numbers",
        replace(_SALES, daily=(20, 80), answered=(0.35, 0.6), invalid=(0.03, 0.12)),
    ),
    _kind(
        "honest",
        "own-extensions",
        "calls the extensions of its own block",
        replace(
            _SALES,
            daily=(80, 300),
            answered=(0.8, 0.97),
            rejected=0.01,
            invalid=0.003,
            callees="district",
            pool=(80, 300),
            talk=talk(TalkPart(1.0, (15, 90))),
        ),
    ),
    _kind(
        "honest",
        "collections",
        "reminds debtors; several refuse",
        replace(
            _SALES, answered=(0.3, 0.5), rejected=(0.06, 0.14), tries=(1, 3), gap_s=(3600, 9000), until_answered=True
        ),
    ),
    _kind(
        "honest",
        "giant",
        "a large part of the platform's calls, from early to late",
        replace(
            _SALES, daily=3000, answered=(0.4, 0.75), callees="known", pool=(3000, 9000), opens=7, closes=(19, 22.5)
        ),
    ),
)

OFFENDERS: tuple[TenantKind, ...] = (
    _kind("offender", "blind-dialler", "dials strangers", replace(BLIND, daily=(400, 1500))),
    _kind(
        "offender",
        "blind-on-live-numbers",
        "strangers on a cleaned list",
        replace(
            BLIND,
            daily=(500, 1500),
            answered=(0.12, 0.3),
            invalid=(0, 0.06),
            talk=talk(brief((0.5, 0.75)), TalkPart(0.4, (10, 30))),
        ),
    ),
    _kind(
        "offender",
        "turncoat",
        "an ordinary desk that begins to dial strangers",
        replace(DESK, daily=(400, 900), days="one", first_day=0),
        replace(BLIND, daily=(500, 1500), first_day=1),
    ),
    _kind(
        "offender",
        "sequential-dialler",
        "goes through a range of numbers",
        replace(BLIND, callees="sequence", gaps=(0, 0.35), answered=(0.1, 0.4), invalid=(0.02, 0.4), daily=(300, 1500)),
    ),
    _kind(
        "offender",
        "number-rotation",
        "own numbers used up; carriers block some",
        replace(
            BLIND, answered=(0.15, 0.45), invalid=(0, 0.15), blocked=(0.06, 0.25), per_caller=(2, 12), daily=(500, 1500)
        ),
    ),
    _kind(
        "offender",
        "rotation-unblocked",
        "the same before any carrier notices",
        replace(UNWANTED, daily=(700, 1500), answered=(0.2, 0.5), per_caller=(1, 7)),
    ),
    _kind(
        "offender",
        "harasser",
        "calls some people many times a day",
        replace(_REFUSED, daily=(200, 600), callees="known", pool=(6, 30)),
    ),
    _kind(
        "offender",
        "harasser-of-few",
        "calls one to four people, and few others",
        replace(_REFUSED, daily=(60, 160), answered=(0.15, 0.45), callees="known", pool=(1, 4)),
    ),
    _kind(
        "offender",
        "redialler",
        "four to eight attempts within five minutes",
        replace(_REFUSED, daily=(40, 200), tries=(4, 8), gap_s=(15, 45)),
    ),
    _kind(
        "offender",
        "two-second-burst",
        "thousands of calls of two seconds within minutes",
        replace(
            BLIND,
            daily=(800, 2000),
            opens=(9, 12),
            closes=(15, 19),
            bursts=(1, 3),
            burst_s=(180, 1200),
            answered=(0.25, 0.9),
            invalid=(0, 0.06),
            rejected=0.02,
            talk=talk(TalkPart(1.0, (1.2, 2.2), "normal")),
        ),
    ),
    _kind(
        "offender",
        "night-caller",
        "sells at night, to people who do not want it",
        replace(_REFUSED, daily=(150, 1200), rejected=(0.1, 0.28), invalid=(0, 0.12), opens=(20, 22), closes=(26, 32)),
    ),
)
