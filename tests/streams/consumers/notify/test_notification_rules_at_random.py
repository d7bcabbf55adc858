"""Random histories of a tenant, checked against the same notification policy applied to the whole history."""

import random
from collections.abc import Iterator

import pytest
from notification_samples import alert, decision
from rules_harness import RulesHarness, short

from monitor.text.durations import DAY, HOUR, MINUTE
from schemas.outputs import Alert, Enforcement
from streams.consumers.notify.rules.tenant_state import TenantState
from streams.consumers.notify.rules.throttle import Throttle

Row = tuple[int, Alert | Enforcement | None]


def rows_of_a_tenant(rng: random.Random) -> Iterator[Row]:
    """Minutes to days apart: alerts of two rules of one behaviour and of an unknown one, decisions, and pauses."""
    at = 0
    firing: dict[str, tuple[str, str]] = {}
    open_: dict[str, tuple[str, bool]] = {}
    for n in range(rng.randrange(5, 60)):
        at += rng.choice([0, MINUTE, 6 * MINUTE, HOUR, 5 * HOUR, DAY, 8 * DAY])
        turn = rng.random()
        if turn < 0.3:
            rule = rng.choice(["short-calls", "short-calls-of-few", "unknown"])
            severity = rng.choice(["info", "warning", "warning", "critical"])
            firing[f"a{n}"] = rule, severity
            yield at, alert(f"a{n}", "firing", at, rule=rule, severity=severity)
        elif turn < 0.55 and firing:
            id_ = rng.choice(list(firing))
            rule, severity = firing.pop(id_)
            yield at, alert(id_, "resolved", at, rule=rule, severity=severity)
        elif turn < 0.8:
            kind, pending = rng.choice(["warning", "warning", "termination", "ban"]), rng.random() < 0.3
            open_[f"d{n}"] = kind, pending
            yield at, decision(f"d{n}", kind, at, pending=pending)
        elif turn < 0.95 and open_:
            id_ = rng.choice(list(open_))
            kind, pending = open_.pop(id_)
            how = rng.choice(["uphold", "lapse", "reversal"]) if pending else "reversal"
            if how == "uphold":
                open_[f"d{n}"] = kind, False
                yield at, decision(f"d{n}", kind, at, supersedes=id_)
            else:
                frozen = kind in ("termination", "ban")
                yield at, decision(f"d{n}", how, at, reverses=id_, refunds="released" if frozen else "unaffected")
        else:
            yield at, None


def expected(rows: list[Row], throttle: Throttle) -> list[tuple[int, str, str]]:
    """(time, behaviour, what) of everything that is sent or counted."""
    out: list[tuple[int, str, str]] = []
    for behaviour in ("blind_calling", "unknown"):
        sent: list[tuple[int, str]] = []  # of this thread, since its last reversal
        firing: dict[str, str] = {}
        heard_of: dict[str, int] = {}
        due: int | None = None
        known: str | None = None  # the severity of the firing alert, as last sent
        for number, (at, record) in enumerate(rows):
            if firing and all(heard_of[id_] + 30 * DAY <= at for id_ in firing):
                due = known = None
            firing = {id_: severity for id_, severity in firing.items() if heard_of[id_] + 30 * DAY > at}
            past = [each for _, each in rows[:number] if isinstance(each, Enforcement)]
            if due is not None and due <= at:
                due = None
                if stands(past)[2] is None:
                    known = worst(firing)
                    sent.append((at, "alert"))
                    out.append((at, behaviour, "alert"))
            now = [record] if isinstance(record, Enforcement) else []
            stopped = stands(past + now)[2] is not None
            heard = any(at - when < throttle.quiet_ms for when, what in sent if what != "reversal")
            if isinstance(record, Alert):
                mine = "unknown" if record.rule_id == "unknown" else "blind_calling"
                if mine != behaviour or record.severity == "info":
                    continue
                first = not firing
                if record.state == "firing":
                    firing[record.alert_id], heard_of[record.alert_id] = record.severity, at
                    if known is not None and (known, worst(firing)) == ("warning", "critical"):
                        known = "critical"
                        sent.append((at, "alert"))
                        out.append((at, behaviour, "alert"))
                    elif known is None and first and not stopped:
                        if heard:
                            out.append((at, behaviour, "silent alert"))
                        else:
                            due = at + throttle.delay_ms
                elif firing.pop(record.alert_id, None) and not firing:
                    due = None
                    if known is not None:
                        known = None
                        out.append((at, behaviour, "alert over"))
            elif record is not None:
                what = "pending" if record.data.status == "pending_review" else record.data.kind
                if behaviour == "blind_calling":
                    same = any(at - when < throttle.quiet_ms for when, which in sent if which == what)
                    if what == "lapse" or (same and what != "reversal" and not record.data.supersedes):
                        out.append((at, behaviour, f"silent {what}"))
                    else:
                        out.append((at, behaviour, what))
                        sent = [(when, which) for when, which in sent if which != what] + [(at, what)]
                    due = due if what in ("reversal", "lapse") else None
                if what == "reversal":
                    if behaviour == "blind_calling":
                        sent, heard = [(at, "reversal")], False
                    if firing and known is None and due is None and not stopped and not heard:
                        due = at + throttle.delay_ms
    return sorted(out)


def worst(firing: dict[str, str]) -> str:
    return "critical" if "critical" in firing.values() else "warning"


def stands(events: list[Enforcement]) -> tuple[set[str], set[str], str | None]:
    """What is pending, what holds refunds (billing's rule), and the most severe decision in force."""
    gone = {id_ for event in events for id_ in (event.data.reverses, event.data.supersedes)}
    left = [event for event in events if event.id not in gone]
    final = {event.data.kind for event in left if event.data.status == "final"}
    return (
        {event.id for event in left if event.data.status == "pending_review"},
        {event.id for event in left if event.data.refunds == "frozen"},
        next((kind for kind in ("ban", "termination") if kind in final), None),
    )


def known_of(tenant: TenantState) -> tuple[set[str], set[str], str | None]:
    cases = tenant.cases.items()
    return {id_ for id_, case in cases if case.pending}, {id_ for id_, case in cases if case.frozen}, tenant.stopped


@pytest.mark.parametrize("quiet_ms", [2 * HOUR, 3 * DAY])
@pytest.mark.parametrize("known_seed", [None, 2_614_350_546])  # a second decision is pending until the same instant
def test_messages_follow_the_notification_policy(quiet_ms: int, known_seed: int | None) -> None:
    seed = random.randrange(2**32) if known_seed is None else known_seed
    print("seed", seed)
    rng, throttle, heard = random.Random(seed), Throttle(quiet_ms=quiet_ms), 0
    for _ in range(300):
        rows, harness = list(rows_of_a_tenant(rng)), RulesHarness(throttle)
        got: list[tuple[int, str, str]] = []
        for at, record in rows:
            messages, silent = len(harness.messages), len(harness.silent)
            harness.take(at, *([record] if record is not None else []))
            got += [(at, m.behaviour, short(m)) for m in harness.messages[messages:] if m.others]
            got += [(at, each.behaviour, f"silent {each.what}") for each in harness.silent[silent:]]
        assert sorted(got) == expected(rows, throttle), rows
        ids = [message.id for message in harness.messages]
        assert len(set(ids)) == len(ids), "sent twice"
        on: set[tuple[str, str, str, str]] = set()
        for message in harness.messages:
            key = message.behaviour, message.what, message.severity, message.tier
            if message.standing == "on":
                on.add(key)
            elif message.standing == "off":
                assert key in on, "ended before it began"
                on.remove(key)
        waits = any(case.pending for case in harness.tenant.cases.values())
        fires = {(key, "alert", thread.notified) for key, thread in harness.tenant.threads.items() if thread.notified}
        assert {key[:3] for key in on if key[1] == "alert"} == fires
        assert waits or not any(what == "pending" for _, what, *_ in on)
        assert known_of(harness.tenant) == stands([r for _, r in rows if isinstance(r, Enforcement)])
        heard += len(ids)
    assert heard > 1000
