"""Events become calls: in any order, for calls of any length, among any other events."""

import heapq
import itertools
import json
import random

import pytest
from call_events import HOUR, MINUTE, SECOND, START, Log, Logged, adapter, call, codes, event, records, written

from helpers.thorough import thorough
from monitor.adapters.assembled import AssembledAdapter
from monitor.adapters.assembly.assembler import Assembler, AssemblyLimits
from monitor.adapters.assembly.open_call import OpenCall
from monitor.adapters.mapping.read import read_mapping
from monitor.adapters.mapping.spec import Events
from monitor.adapters.shipped import shipped_text
from schemas.inputs import Cdr


def only(log: Log) -> Cdr:
    (found,) = records(log.results)
    return found


def test_three_events_make_a_call() -> None:
    log = Log()
    log.feed(*call())
    assert log.results == []  # an event that belongs to it may come later
    (found,) = records(log.assembler.advance(START + 23 * SECOND))
    assert (found.call_id, found.tenant_id, found.direction) == ("leg-1", "acme", "outbound")
    assert (found.start_ms, found.answer_ms, found.end_ms) == (START, START + 8 * SECOND, START + 13 * SECOND)
    assert found.outcome == "answered"
    assert len(log.assembler) == 0


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
@pytest.mark.parametrize("talk_ms", [5 * SECOND, 2 * HOUR])
def test_the_events_of_a_call_may_come_in_every_order(order: tuple[int, ...], talk_ms: int) -> None:
    events = [*call(talk_ms=talk_ms), event("machine.detection.ended", 9 * SECOND, result="human")]
    in_order, other = Log(), Log()
    in_order.feed(*events)
    in_order.finish()
    # All of them were logged with the time of the last one.
    other.feed(*(Logged(events[n].value, START + 3 * HOUR) for n in order))
    other.finish()
    assert written(other.results) == written(in_order.results)
    assert only(other).answered_by == "human"
    assert only(other).end_ms - (only(other).answer_ms or 0) == talk_ms


@pytest.mark.parametrize("seed", range(20))
def test_disorder_within_the_settling_time_changes_nothing(seed: int) -> None:
    shuffled = random.Random(seed)
    log = sorted(itertools.chain.from_iterable(call(f"leg-{n}", n * 700) for n in range(40)), key=lambda each: each[1])
    late = sorted(log, key=lambda each: each.timestamp_ms + shuffled.randrange(9 * SECOND))
    first, second = Log(), Log()
    first.feed(*log)
    first.finish()
    second.feed(*late)
    second.finish()
    assert sorted(written(second.results)) == sorted(written(first.results))
    assert len(records(second.results)) == 40


def test_a_call_of_two_hours_is_one_record_while_others_come_and_go() -> None:
    log = Log()
    others = [each for n in range(120) for each in call(f"leg-{n}", n * MINUTE)]
    log.feed(*sorted([*call("long", talk_ms=2 * HOUR), *others], key=lambda each: each.timestamp_ms))
    log.finish()
    long = [found for found in records(log.results) if found.call_id == "long"]
    assert [(found.start_ms, found.end_ms) for found in long] == [(START, START + 8 * SECOND + 2 * HOUR)]
    assert len(records(log.results)) == 121
    assert set(codes(log.results)) == {""}


def test_an_unanswered_call_ends_three_minutes_after_its_last_event() -> None:
    log = Log()
    log.feed(event("initiated", 0))
    assert log.assembler.advance(START + 3 * MINUTE - 1) == []
    (found,) = records(log.assembler.advance(START + 3 * MINUTE))
    assert (found.outcome, found.start_ms, found.end_ms, found.answer_ms) == ("failed", START, START, None)


@pytest.mark.parametrize("name", ["asterisk-cel", "kamailio-acc", "telnyx", "twilio-events", "vonage"])
def test_the_time_out_of_a_shipped_format_is_a_setting(name: str) -> None:
    assert adapter(name).program.events.ring_timeout_ms == 3 * MINUTE
    assert adapter(name, ring_timeout="5s").program.events.ring_timeout_ms == 5 * SECOND


def test_an_answered_call_without_an_end_is_incomplete_after_a_day() -> None:
    log = Log()
    log.feed(*call()[:2])
    assert log.assembler.advance(START + 24 * HOUR - 1) == []
    assert codes(log.assembler.advance(START + 24 * HOUR)) == ["incomplete"]
    assert log.assembler.counts == {"incomplete": 1}


def test_a_call_without_its_first_event_is_incomplete() -> None:
    log = Log()
    log.feed(event("hangup", 0))
    assert log.assembler.advance(START + 3 * MINUTE - 1) == []
    assert codes(log.assembler.advance(START + 3 * MINUTE)) == ["incomplete"]


def test_an_event_of_a_call_that_has_ended_is_late() -> None:
    log = Log()
    log.feed(*call(), event("initiated", MINUTE, "other"))
    assert [found.call_id for found in records(log.results)] == ["leg-1"]
    assert codes(log.feed(Logged(event("hangup", 14 * SECOND).value, START + MINUTE))) == ["late_event"]
    assert log.assembler.counts == {"records": 1, "late_event": 1}


def test_repeated_events_change_nothing() -> None:
    once, thrice = Log(), Log()
    once.feed(*call())
    once.finish()
    thrice.feed(*(each for each in call() for _ in range(3)))
    thrice.finish()
    assert written(thrice.results) == written(once.results)
    assert len(thrice.results) == 1


def test_one_event_from_the_year_2099_moves_no_clock() -> None:
    log = Log()
    log.feed(*call()[:2])
    strange = event("hangup", 0, "strange").value.replace(b'"occurred_at": "2026', b'"occurred_at": "2099')
    assert codes(log.feed(Logged(strange, START + 9 * SECOND))) == ["future_event"]
    log.feed(call()[2])
    log.finish()
    assert only(log).call_id == "leg-1"


def test_an_event_ahead_of_its_timestamp_moves_the_clock_to_the_timestamp() -> None:
    log = Log(AssemblyLimits(max_ahead_ms=5 * MINUTE))
    log.feed(Logged(event("initiated", 5 * MINUTE).value, START))
    assert log.assembler.clock_ms == START
    assert codes(log.feed(Logged(event("initiated", 5 * MINUTE + 1, "leg-2").value, START))) == ["future_event"]


def test_two_tenants_that_choose_the_same_ids_have_two_calls() -> None:
    log = Log()
    mine, theirs = call(), call(begin_ms=2 * SECOND, tenant="other")
    log.feed(*(each for pair in zip(mine, theirs, strict=True) for each in pair))
    log.finish()
    assert {(found.tenant_id, found.start_ms) for found in records(log.results)} == {
        ("acme", START),
        ("other", START + 2 * SECOND),
    }


def test_calls_that_never_end_cost_their_tenant_alone() -> None:
    log = Log(AssemblyLimits(open_calls_per_tenant=100))
    log.feed(*call("honest", talk_ms=HOUR, tenant="honest")[:2])
    for n in range(1_000):
        log.feed(*(Logged(each.value, START + 10 * SECOND) for each in call(f"leg-{n}", n, tenant="bad")[:2]))
    assert len(log.assembler) == 101
    assert len(log.assembler._deadlines) < 500
    assert log.assembler.counts == {"too_many_open_calls": 900}
    log.feed(call("honest", talk_ms=HOUR, tenant="honest")[2])
    log.finish()
    assert only(log).tenant_id == "honest"


@pytest.mark.parametrize("restarts", [False, True])
def test_a_tenant_that_ends_many_calls_makes_no_late_event_of_others_a_call(restarts: bool) -> None:
    limits = AssemblyLimits(open_calls=100, open_calls_per_tenant=10)
    log = Log(limits)
    log.feed(*call("honest", tenant="honest"))
    for n in range(150):  # each ends 10 s after it was closed
        log.feed(*(Logged(each.value, START + 20 * SECOND + 100 * n) for each in call(f"leg-{n}", 100 * n, 0, "bad")))
        if restarts:
            log.restart()
    log.feed(event("initiated", MINUTE, "last", "bad"))
    assert len(log.results) == 151
    late = [Logged(call(name, ms, 0, tenant)[2].value, START + MINUTE) for name, ms, tenant in (
        ("honest", 0, "honest"), ("leg-149", 14_900, "bad"), ("leg-0", 0, "bad"))]  # fmt: skip
    assert codes(log.feed(*late)) == ["late_event", "late_event"]
    assert len(log.assembler._ended) == 11


def test_tenants_without_number_do_not_fill_the_memory() -> None:
    log = Log(AssemblyLimits(open_calls=50))
    for n in range(200):
        log.feed(event("initiated", n, f"leg-{n}", tenant=f"tenant-{n}"))
    assert len(log.assembler) == 50
    assert len(log.assembler._ended) <= 50
    assert len(log.assembler._of_tenant) == 50


def test_the_work_for_an_event_does_not_depend_on_what_came_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repeated events, events that never end a call, and events that move deadlines all the time."""
    work = {"deadlines": 0, "rebuilt": 0}
    deadline_ms, heapify = OpenCall.deadline_ms, heapq.heapify

    def counted(call: OpenCall, events: Events) -> int:
        work["deadlines"] += 1
        return deadline_ms(call, events)

    def rebuilt(entries: list[object]) -> None:
        work["rebuilt"] += len(entries)
        heapify(entries)

    monkeypatch.setattr(OpenCall, "deadline_ms", counted)
    monkeypatch.setattr(heapq, "heapify", rebuilt)
    (row,) = adapter().events(event("answered", 0).value)
    assert row.event is not None
    assembler = Assembler(adapter().program)
    events = 20_000
    for n in range(events):
        # Each call is opened, answered and closed, repeatedly: each time its deadline becomes earlier.
        name, kind = f"leg-{n // 4}", (0, 0, 1, 3)[n % 4]
        assembler.feed(row.event._replace(key=(name,), kind=kind, at_ms=START + 20 * n), n, START + 20 * n)
    assert work["deadlines"] < 3 * events
    assert work["rebuilt"] < 3 * events
    assert len(assembler._deadlines) < 3 * len(assembler) + 65


def test_the_stored_state_of_a_call_does_not_grow_with_its_events() -> None:
    log = Log()
    log.feed(*call()[:2])
    log.store()
    before = log.state[b'["leg-1"]']
    for n in range(500):
        log.feed(event("machine.detection.ended", 9 * SECOND + n, result="machine"))
    log.store()
    assert len(log.state[b'["leg-1"]']) < len(before) + 500


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"call_leg_id": "x" * 513}, "wrong_length"),
        ({"from": "5" * 17_000}, "too_long"),
        ({"call_leg_id": ""}, "missing_field"),
        ({"call_leg_id": ["leg-1"]}, "wrong_type"),
    ],
)
def test_an_event_that_cannot_be_kept_is_rejected_before_it_is(change: dict[str, object], code: str) -> None:
    (row,) = adapter().events(event("initiated", 0, **change).value)
    assert (row.reason or "").partition(":")[0] == code


def test_an_event_that_belongs_to_no_call_is_rejected() -> None:
    (row,) = adapter().events(event("recording.saved", 0).value)
    assert row.reason == "excluded: the event is none of initiated, answered, machine, hangup"
    (row,) = adapter().events(b"{")
    assert (row.reason or "").startswith("malformed_json")


@pytest.mark.parametrize("seed", thorough(range(25), 8))
def test_the_log_gives_the_same_bytes_in_any_batches_and_across_restarts(seed: int) -> None:
    shuffled = random.Random(seed)
    events: list[Logged] = []
    for n in range(60):
        tenant = shuffled.choice(["a", "b", "c"])
        begin_ms = shuffled.randrange(20 * MINUTE)
        each = call(f"leg-{n % 45}", begin_ms, shuffled.choice([0, SECOND, HOUR]), tenant)
        events += shuffled.sample(each, shuffled.choice([1, 2, 3, 3, 3]))
        events += shuffled.choices(each, k=shuffled.choice([0, 0, 1]))
    # Out of order, and with timestamps of their own: some events are ahead of them, some far behind.
    log = [
        Logged(each.value, each.timestamp_ms + shuffled.choice([-6 * MINUTE, -1, 0, 0, 0, 5 * MINUTE]))
        for each in events
    ]
    log.sort(key=lambda each: each.timestamp_ms + shuffled.randrange(30 * SECOND))
    limits = AssemblyLimits(open_calls=20, open_calls_per_tenant=8)
    whole, broken = Log(limits), Log(limits)
    whole.feed(*log)
    whole.store()
    start = 0
    while start < len(log):
        stop = start + shuffled.randrange(1, 15)
        broken.feed(*log[start:stop])
        start = stop
        if shuffled.random() < 0.7:
            broken.restart()
    broken.store()
    assert written(broken.results) == written(whole.results)
    assert broken.state == whole.state
    assert written(broken.finish()) == written(whole.finish())
    assert {"", "incomplete"} <= set(codes(whole.results))


def test_unchanged_state_is_not_written_again() -> None:
    log = Log()
    log.feed(*call("leg-1")[:2], *call("leg-2")[:1])
    log.store()
    log.feed(call("leg-2")[1])
    assert [key for key, _ in log.assembler.changes()] == [b'["leg-2"]']
    log.feed(*call("leg-2")[2:])
    log.assembler.advance(START + 23 * SECOND)
    (_, value), *_ = log.assembler.changes()
    assert json.loads(value or b"")[0] == "ended"
    log.assembler.advance(START + 4 * MINUTE)
    assert (b'["leg-2"]', None) in log.assembler.changes()
    assert log.assembler.changes() == []


def test_open_calls_outlive_a_change_of_the_mapping() -> None:
    text = shipped_text("telnyx.yaml")
    changed = text.replace(
        "answered: {", "other: {when: {column: data.event_type, equals: x}, roles: []}\n    answered: {"
    )
    changed = changed.replace("source: {const: telnyx}", "source: {column: data.payload.new, default: changed}")
    assert changed.count("other: {") == changed.count("default: changed") == 1
    mapping = read_mapping(changed, "telnyx.yaml", {})
    assert mapping.events is not None
    log = Log()
    log.feed(*call()[:2])
    log.restart(AssembledAdapter(mapping, mapping.events, b"key"))
    log.feed(call()[2])
    log.finish()
    assert (only(log).start_ms, only(log).source) == (START, "changed")


def test_large_events_cost_their_tenant_alone() -> None:
    log = Log(AssemblyLimits(open_calls_per_tenant=20))
    log.feed(*call("honest", tenant="honest")[:2])
    for n in range(40):
        log.feed(event("initiated", n, f"leg-{n}", tenant="bad", **{"from": "5" * 16_000}))
    assert len(log.assembler) == 1 + 2
    assert log.assembler.counts == {"too_many_open_calls": 38}
    log.restart()
    log.feed(event("initiated", 50, "leg-50", tenant="bad", **{"from": "5" * 16_000}))
    assert log.assembler.counts == {"too_many_open_calls": 1}
    log.feed(call("honest", tenant="honest")[2])
    log.finish()
    assert "honest" in {found.tenant_id for found in records(log.results)}
