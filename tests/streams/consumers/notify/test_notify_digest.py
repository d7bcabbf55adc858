"""A flood becomes a digest with correct sums, and suppressed messages a daily summary; nothing is left out."""

import random
from collections import Counter

import msgspec
from notification_samples import SAID

from monitor.text.durations import DAY, HOUR
from schemas.outputs import Reason
from streams.consumers.notify.messages.message import Message
from streams.consumers.notify.rules.digest import digest, plan, summary
from streams.consumers.notify.rules.notification_rules import SilentMessage
from streams.consumers.notify.rules.schedule import PendingCase, about_to_lapse, next_summary_ms
from streams.consumers.notify.rules.templates import lapse_soon

RANKS = {"info": 0, "warning": 1, "critical": 2}


def message(n: int, severity: str, what: str = "warning", tenant: str = "acme") -> Message:
    return Message(
        id=f"m{n}", what=what, severity=severity, at_ms=n, title=Reason(f"题{n}", f"title {n}"), tenant_id=tenant
    )  # type: ignore[arg-type]


def test_at_random_every_message_is_sent_alone_or_in_the_digest_and_the_worst_alone() -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    rng = random.Random(seed)
    for _ in range(500):
        waiting = [message(n, rng.choice(list(RANKS))) for n in range(rng.randrange(30))]
        room = rng.randrange(-1, 12)
        single, digested = plan(waiting, room)
        if room <= 0:
            assert (single, digested) == ([], [])
            continue
        assert len(single) + bool(digested) <= room
        assert sorted(single + digested, key=lambda m: m.at_ms) == waiting
        assert single == sorted(single, key=lambda m: m.at_ms)
        if len(waiting) <= room:
            assert single == waiting
        for alone in single:
            for other in digested:
                assert (RANKS[alone.severity], -alone.at_ms) > (RANKS[other.severity], -other.at_ms)


def test_at_random_a_digest_counts_what_is_in_it_and_lists_the_worst() -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    rng = random.Random(seed)
    for _ in range(200):
        kinds = ["warning", "ban", "alert", "pending"]
        many = [
            message(n, rng.choice(list(RANKS)), rng.choice(kinds), f"t{rng.randrange(9)}")
            for n in range(rng.randrange(2, 60))
        ]
        said = digest(many, 7)
        counted = {part.rsplit(" ", 1)[0]: int(part.rsplit(" ", 1)[1]) for part in said.lines[0].en.split(", ")}
        names = {"warning": "warning", "ban": "ban", "alert": "alert", "pending": "pending review"}
        assert counted == dict(Counter(names[m.what] for m in many))
        assert f"{len(many)} messages about {len({m.tenant_id for m in many})} tenant" in said.title.en
        listed = [RANKS[item.severity] for item in said.items]
        assert listed == sorted((RANKS[m.severity] for m in many), reverse=True)[: len(listed)]
        assert len(listed) == min(10, len(many))
        assert RANKS[said.severity] == max(RANKS[m.severity] for m in many)


def test_a_summary_counts_every_suppressed_message() -> None:
    silent = [SilentMessage(f"t{n % 13}", "blind_calling", "warning", "warning", n, f"d{n}") for n in range(40)]
    silent += [SilentMessage("t0", "x", "pending", "critical", 1, "p")]
    said = summary(silent, 5)
    assert "41 repetitions not sent one by one, of 13 tenants" in said.title.en
    assert [line.en for line in said.lines] == ["warning 40, pending review 1", "and 3 more tenants"]
    assert said.items[0].text.en == "tenant t0: 5"
    assert said.items[0].severity == "critical"


def test_at_random_each_pending_decision_is_reported_once_and_in_time() -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    rng = random.Random(seed)
    for _ in range(100):
        pending = [PendingCase(f"d{n}", "t", "b", "ban", rng.randrange(3 * DAY, 20 * DAY)) for n in range(40)]
        sent: dict[str, int] = {}
        messages = 0
        for now_ms in range(0, 20 * DAY, HOUR):
            soon = about_to_lapse([each for each in pending if each.id not in sent], now_ms, DAY)
            assert soon == sorted(soon, key=lambda each: (each.review_by_ms, each.id))
            sent.update((each.id, now_ms) for each in soon)
            messages += bool(soon)
        assert sent.keys() == {each.id for each in pending}
        assert all(DAY - HOUR < each.review_by_ms - sent[each.id] <= 2 * DAY for each in pending)
        assert messages <= 20


def test_decisions_about_to_lapse_are_named_with_their_times() -> None:
    said = lapse_soon([("a", "acme", "blind_calling", "warning", DAY), ("b", "other", "x", "ban", 2 * DAY)], 0)
    assert said.title.en == "2 pending decisions about to lapse without a review"
    assert said.items[0].text.en == "lapses 1970-01-02 00:00 UTC: tenant acme, warning, blind calling"
    assert (said.severity, [item.ref for item in said.items]) == ("critical", ["a", "b"])
    assert SAID.zh not in said.title.zh


def test_of_many_decisions_about_to_lapse_the_first_are_named_and_the_others_counted() -> None:
    pending = [(f"d{n}", f"t{n}", "blind_calling", "warning", DAY + n) for n in range(100_000)]
    said = lapse_soon([*pending, ("z", "last", "blind_calling", "ban", 2 * DAY)], 0)
    assert said.title.en == "100,001 pending decisions about to lapse without a review"
    assert [item.ref for item in said.items] == list(said.refs) == [f"d{n}" for n in range(100)]
    assert said.lines[-1].en == "and 99,901 more, which lapse later"
    assert said.severity == "critical"  # of one that is not named
    assert len(msgspec.json.encode(said)) < 100_000


def test_the_summary_is_due_at_its_hour_there_and_a_day_later_again() -> None:
    first = next_summary_ms(0, 9, "Asia/Shanghai")  # it is 08:00 in that zone
    assert first == HOUR
    assert next_summary_ms(first, 9, "Asia/Shanghai") == first + DAY
    assert next_summary_ms(first - 1, 9, "Asia/Shanghai") == first
