"""A topic's content against the expected content: each possible difference, and its report."""

import random
from collections import Counter
from typing import Any

import msgspec
import pytest

from schemas import codec
from schemas.outputs import Enforcement, EnforcementData, Evidence, PolicyRef, Reason
from streams.audit import report as tell
from streams.audit.compare import Compared, PublishedRecord, TopicPartitionRef, compare, misplaced

PLACE = TopicPartitionRef("callwarden.enforcement", 3)


def event(number: int, tenant: str = "acme", **fields: Any) -> Enforcement:
    data = EnforcementData(
        tenant_id=tenant,
        kind="warning",
        status="final",
        behaviour="blind_calling",
        clause=6,
        tier="minor",
        actions=("warn",),
        proposed_actions=(),
        refunds="unaffected",
        rule_id="short",
        policy=PolicyRef("p", "1", "0" * 64),
        decided_ms=number * 1000,
        review_by_ms=None,
        window=None,
        measure=None,
        evidence=Evidence(call_ids=("a", "b")),
        violations_on_record=1,
        reverses=None,
        supersedes=None,
        reason=Reason("因为", "Because"),
    )
    return Enforcement(f"cwe-{number}", tenant, "2026-03-02T00:00:00.000Z", msgspec.structs.replace(data, **fields))


def stands(events: list[Enforcement], first: int = 0) -> list[PublishedRecord]:
    return [PublishedRecord(first + 2 * n, one.subject.encode(), codec.encode(one)) for n, one in enumerate(events)]


EVENTS = [event(n) for n in range(6)]
# 3.11 to 3.13 count the levels, 3.14 measures the stack.
TOO_DEEP = b"[" * 5_000_000 + b"]" * 5_000_000


def output(compared: Compared) -> list[tuple[str, str, int | None]]:
    return [(one.what, one.id, one.offset) for one in compared.differences]


def test_expected_events_are_counted() -> None:
    compared = compare(PLACE, EVENTS, [], stands(EVENTS))
    assert (compared.same, compared.later, compared.due, compared.differences) == (6, 0, 0, [])


def test_optional_events_are_neither_missing_nor_surplus() -> None:
    compared = compare(PLACE, EVENTS[:3], EVENTS[3:], stands(EVENTS[:5]))
    assert (compared.same, compared.later, compared.due, compared.differences) == (3, 2, 1, [])
    twice = compare(PLACE, [], EVENTS[:1], stands([EVENTS[0], EVENTS[0]]))
    assert output(twice) == [("invented", "cwe-0", 2)]


def test_events_outside_the_audited_range_are_ignored_by_position_and_time() -> None:
    asked: list[tuple[int, int]] = []

    def forgiven(offset: int, decided_ms: int) -> bool:
        asked.append((offset, decided_ms))
        return decided_ms < 1000

    compared = compare(PLACE, [], [], stands(EVENTS[:2], 40), forgiven)
    assert asked == [(40, 0), (42, 1000)]
    assert (compared.later, output(compared)) == (1, [("invented", "cwe-1", 42)])


def test_the_order_of_a_tenants_decisions_is_compared_and_that_of_several_tenants_is_not() -> None:
    a, b, other = event(1), event(2), event(3, "other")
    assert output(compare(PLACE, [a, b, other], [], stands([other, a, b]))) == []
    (found,) = compare(PLACE, [a, other, b], [], stands([b, other, a])).differences
    assert (found.what, found.id, found.offset, found.decision) == ("order", "cwe-1", 4, False)


@pytest.mark.parametrize(
    ("change", "decision"),
    [
        ({"reason": Reason("别的", "Because")}, False),
        ({"evidence": Evidence(call_ids=("b", "a"))}, False),
        ({"evidence": Evidence(call_ids=("a", "c"))}, True),
        ({"evidence": Evidence(call_ids=("a",))}, True),
        ({"reason": Reason("别的", "Because"), "tier": "major"}, True),
        ({"review_by_ms": 1}, True),
        ({"policy": PolicyRef("p", "1", "1" * 64)}, True),
    ],
)
def test_a_difference_of_decision_is_distinguished_from_one_of_wording(change: dict[str, Any], decision: bool) -> None:
    (found,) = compare(PLACE, [event(1)], [], stands([event(1, **change)])).differences
    assert (found.what, found.decision) == ("changed", decision)
    assert {one.path.split(".")[1] for one in found.changes} == set(change)


def test_an_event_in_another_partition_is_reported_once() -> None:
    lacking = compare(PLACE, EVENTS[:2], [], stands(EVENTS[:1])).differences
    there = compare(TopicPartitionRef(PLACE.topic, 5), [], [], stands(EVENTS[1:2], 7)).differences
    elsewhere = compare(TopicPartitionRef("callwarden.shadow", 5), [], [], stands(EVENTS[1:2], 7)).differences
    for differences in (lacking + there, there + lacking):
        (one,) = misplaced(differences)
        assert (one.what, one.number, one.offset, one.id) == ("misplaced", 3, 7, "cwe-1")
    assert [one.what for one in misplaced(lacking + elsewhere)] == ["missing", "invented"]


@pytest.mark.parametrize("seed", range(30))
def test_every_change_of_a_topic_is_found_and_nothing_else(seed: int) -> None:
    print(f"seed {seed}")
    chooser = random.Random(seed)
    must = [event(n, chooser.choice(("a", "b", "c"))) for n in range(20)]
    there, due = list(must), Counter[tuple[str, str]]()
    for victim in chooser.sample(must, 6):
        what, at = chooser.choice(("missing", "changed", "invented", "repeated")), there.index(victim)
        if what == "missing":
            del there[at]
        elif what == "changed":
            there[at] = msgspec.structs.replace(victim, time="another")
        elif what == "invented":
            there.insert(at, msgspec.structs.replace(victim, id=f"made-up-{victim.id}"))
        else:
            there.append(victim)
        due[what, f"made-up-{victim.id}" if what == "invented" else victim.id] += 1
    found = compare(PLACE, must, [], stands(there)).differences
    assert Counter((one.what, one.id) for one in found) == due


def test_phone_numbers_are_masked_in_every_report() -> None:
    number = "+8613812345678"
    wanted = event(1, number, reason=Reason(number, number), rule_id=number)
    other = msgspec.structs.replace(wanted, id=number, subject=number)
    value = codec.encode(wanted).replace(b"unaffected", number.encode())
    found = compare(
        PLACE, [wanted], [], [PublishedRecord(0, b"+8613812345679", value), *stands([other], 1)]
    ).differences
    lines = [line for one in found for line in tell.difference(one)]
    assert len(lines) == 4
    assert "13812345" not in "".join(lines)
    assert "•••78" in lines[0]


def test_ids_are_shown_whole_on_either_side_of_a_difference() -> None:
    other = event(1, evidence=Evidence(call_ids=("1400000002",)), reverses="1400000003")
    wanted = event(1, evidence=Evidence(call_ids=("1400000001",)), reason=Reason("因为", "Because of 1400000004"))
    (one,) = compare(PLACE, [wanted], [], stands([other])).differences
    told_of = "".join(tell.difference(one))
    for id_ in ("1400000001", "1400000002", "1400000003", "1400000004"):
        assert id_ in told_of


def test_a_record_that_is_not_an_event_is_reported() -> None:
    for value in (None, b"", b"{", b"[]", b'{"id": 3}', b"\xff"):
        (found,) = compare(PLACE, [], [], [PublishedRecord(1, None, value)]).differences
        assert (found.what, found.offset, found.event) == ("invented", 1, None)
        (line,) = tell.difference(found)
        assert line.startswith("invented: a record, callwarden.enforcement-3 offset 1: expected an event: ")
    for data in (b"3", b'{"decided_ms": 1e99}', b'{"decided_ms": 99999999999999999}', b'{"decided_ms": -1}'):
        (strange,) = compare(PLACE, [], [], [PublishedRecord(1, None, b'{"id": "x", "data": %b}' % data)]).differences
        assert "decided 1970-01-01" in next(tell.difference(strange))


@pytest.mark.parametrize("behind", [b'"\xff"', b"1e999", TOO_DEEP], ids=["text", "number", "depth"])
def test_invalid_bytes_with_an_expected_id_are_not_that_event(behind: bytes) -> None:
    garbage = PublishedRecord(40, b"acme", b'{"id":"cwe-1","data":' + behind + b"}")
    compared = compare(PLACE, EVENTS[:2], [], [*stands(EVENTS[:1]), garbage])
    assert output(compared) == [("invented", "", 40), ("missing", "cwe-1", None)]
    assert compared.differences[0].why.startswith("expected an event: ")
    compared = compare(PLACE, EVENTS[:1], [], [*stands(EVENTS[:1]), garbage])
    assert output(compared) == [("invented", "", 40)]


def test_an_event_in_two_wrong_partitions_is_reported_for_both() -> None:
    lacks = compare(TopicPartitionRef("callwarden.enforcement", 0), EVENTS[:1], [], [])
    wrong = [
        compare(TopicPartitionRef("callwarden.enforcement", n), [], [], stands(EVENTS[:1], 10 * n)) for n in (1, 2)
    ]
    found = misplaced([*lacks.differences, *wrong[0].differences, *wrong[1].differences])
    assert sorted((one.what, one.offset) for one in found) == [("invented", 10), ("misplaced", 20)]
