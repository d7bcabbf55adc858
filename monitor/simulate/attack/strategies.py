"""Strategies of a dishonest tenant who reads the published policy and stays out of its rules, as data."""

from dataclasses import replace

from monitor.simulate.attack.streams import CallStream, TalkPart, TenantKind, brief, talk

# How strangers answer: few do, many numbers are dead, most of those who answer hang up at once.
BLIND = CallStream(
    daily=(300, 1500),
    answered=(0.12, 0.34),
    talk=talk(brief((0.45, 0.7)), TalkPart(0.4, (12, 45))),
    closes=(18.0, 20.8),
    rejected=(0.04, 0.2),
    invalid=(0.13, 0.35),
    unreachable=(0.02, 0.1),
    blocked=(0.0, 0.03),
    callers=(2, 40),
    callee_hangs_up=(0.5, 0.95),
    consent=(0.0, 0.2),
)
# An ordinary desk, which hides the calls beside it.
DESK = CallStream(
    daily=(150, 600),
    answered=(0.35, 0.62),
    talk=talk(brief((0.02, 0.12)), TalkPart(1.0, (40, 140))),
    wanted=True,
)
# What a desk looks like whose callees do not want to be called.
UNWANTED = replace(DESK, daily=(200, 900), wanted=False)
_TO_OWN = CallStream(
    daily=(8, 25),
    answered=(0.95, 1.0),
    talk=talk(TalkPart(1.0, (300, 1200))),
    invalid=0.0,
    rejected=0.0,
    callees="own",
    pool=(1, 4),
)
_PADDED = TalkPart(1.0, (7.5, 9.0), "uniform", 7.0)
_HOUNDED = replace(
    UNWANTED, answered=(0.2, 0.5), rejected=(0.1, 0.35), talk=talk(brief((0.2, 0.5)), TalkPart(0.6, (20, 80)))
)


def _strategy(name: str, about: str, *streams: CallStream) -> TenantKind:
    return TenantKind(name, "strategy", about, streams)


STRATEGIES: tuple[TenantKind, ...] = (
    _strategy("padded-talk", "talk just above 6 s, dead numbers behind it", replace(BLIND, talk=talk(_PADDED))),
    _strategy(
        "padded-live-list",
        "talk just above 6 s on a list without dead numbers",
        replace(BLIND, talk=talk(_PADDED), invalid=(0.0, 0.05), answered=(0.12, 0.3)),
    ),
    _strategy("lifted-mean", "some calls of many minutes to own numbers lift the mean", BLIND, _TO_OWN),
    _strategy(
        "lifted-asr",
        "answered calls to own robots lift the answer rate",
        replace(BLIND, daily=(300, 900)),
        replace(_TO_OWN, daily=(150, 700), talk=talk(TalkPart(1.0, (15, 60))), pool=(2, 12)),
    ),
    _strategy(
        "fake-interviews",
        "long calls to many own numbers make it a survey",
        replace(BLIND, daily=(400, 1200)),
        replace(_TO_OWN, daily=(40, 140), talk=talk(TalkPart(1.0, (90, 300))), pool=(40, 150)),
    ),
    _strategy("low-volume", "sixty calls a day", replace(BLIND, daily=(50, 70))),
    _strategy(
        "bursts-under-a-gate",
        "29 calls of two seconds every 67 minutes",
        replace(
            BLIND,
            daily=(280, 320),
            opens=8.5,
            closes=20.2,
            bursts=10.5,
            burst_s=(120, 400),
            answered=(0.8, 1.0),
            invalid=(0, 0.02),
            rejected=(0.0, 0.02),
            talk=talk(TalkPart(1.0, (1.5, 2.4), "normal")),
        ),
    ),
    _strategy(
        "one-ring-third",
        "a third of the attempts cancelled after one ring, below 100 an hour",
        replace(
            UNWANTED,
            daily=(550, 900),
            opens=8.5,
            closes=20.5,
            bursts=12,
            burst_s=3400,
            answered=(0.25, 0.5),
            cancelled=(0.28, 0.4),
            cancel_s=(1.0, 2.5),
        ),
    ),
    _strategy(
        "rotation-with-a-busy-number",
        "some 220 callers with a few calls each, and one with many",
        replace(UNWANTED, daily=(800, 1600), answered=(0.2, 0.5), callers=(180, 260)),
        replace(UNWANTED, daily=(60, 300), answered=(0.2, 0.5), callers=1),
    ),
    _strategy(
        "every-second-number",
        "goes through a block, leaving out every second number or more",
        replace(
            BLIND, callees="sequence", stride=(2, 4), answered=(0.12, 0.42), invalid=(0.02, 0.3), daily=(300, 1500)
        ),
    ),
    _strategy("no-consent", "an ordinary desk without a proof of consent", replace(UNWANTED, consent=(0.0, 0.1))),
    _strategy("one-consent", "one consent id on every call", replace(UNWANTED, consent=1.0, one_consent=True)),
    _strategy(
        "two-called-often",
        "two people called 40 times a day among 250 others",
        replace(DESK, daily=(220, 280), wanted=False),
        replace(_HOUNDED, daily=(75, 90), callees="known", pool=2),
    ),
    _strategy(
        "ten-called-often-among-thousands",
        "ten people called 25 times a day among 5,000 others",
        replace(DESK, daily=(4900, 5300), wanted=False, callers=(20, 80)),
        replace(_HOUNDED, daily=(240, 280), callees="known", pool=10),
    ),
    _strategy(
        "five-times-each",
        "many people called exactly as often as the limit allows",
        replace(_HOUNDED, daily=(40, 120), tries=5, gap_s=(4000, 7000), opens=(8.0, 9.0), closes=(10.0, 12.0)),
    ),
    _strategy(
        "a-fifth-at-night",
        "a fifth of the calls at night, to people who refuse",
        replace(UNWANTED, daily=(240, 600), answered=(0.3, 0.5)),
        replace(_HOUNDED, daily=(60, 150), opens=21.2, closes=(23.5, 26)),
    ),
    _strategy(
        "growing-slowly",
        "an ordinary desk that adds more strangers each day",
        DESK,
        replace(BLIND, daily=(40, 90), growth=(1.6, 2.2)),
    ),
    _strategy("every-other-day", "dials strangers every other day", replace(BLIND, days="every_other")),
    _strategy(
        "split-over-hours",
        "answered calls spread below 30 in four hours",
        replace(BLIND, daily=(130, 260), answered=(0.15, 0.3), opens=8.0, closes=20.9),
    ),
    _strategy(
        "hidden-behind-a-desk",
        "as many calls of an ordinary desk beside the blind ones",
        replace(DESK, daily=(300, 700)),
        replace(BLIND, daily=(400, 1000)),
    ),
    _strategy(
        "cleaned-list",
        "strangers on a list without dead numbers; some listen",
        replace(
            BLIND,
            invalid=(0.0, 0.05),
            answered=(0.15, 0.32),
            talk=talk(brief((0.35, 0.6)), TalkPart(0.5, (12, 40))),
        ),
    ),
    _strategy(
        "night-below-the-gate",
        "three calls in ten at night, refused and cut short",
        replace(_HOUNDED, daily=(210, 500)),
        replace(_HOUNDED, daily=(80, 180), opens=21.1, closes=(24, 30)),
    ),
    _strategy(
        "redialled-thrice",
        "three attempts within five minutes to people who refuse",
        replace(_HOUNDED, daily=(60, 220), tries=3, gap_s=(20, 90), rejected=(0.18, 0.4)),
    ),
)
