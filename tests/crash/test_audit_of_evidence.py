"""The audit finds every manual change of evidence and measures."""

import json
from dataclasses import replace

from crash.audited import EVIDENCE, MEASURES, Tampered, change_evidence, findings, run_audit
from crash.world import World
from streams.audit import report as tell
from streams.kafka.api import TP


def test_changed_evidence_is_found(day: World) -> None:
    with Tampered(day) as tampered:
        name = change_evidence(day, 1, lambda evidence: evidence["places"][0].update(offset=123_456))
        found = tampered.difference()
        assert (found.what, found.topic, found.id, found.decision) == ("changed", EVIDENCE, name, False)
        (change,) = found.changes
        assert (change.path, change.b[0]["offset"]) == ("places", 123_456)
        assert any("places" in line for line in tell.difference(found))


def test_evidence_of_no_decision_is_found_and_also_that_of_a_decision_is_missing(day: World) -> None:
    with Tampered(day):
        change_evidence(day, 1, lambda evidence: evidence.update(enforcement_id="cwe-made-up"))
        report = run_audit(day)
    assert {(one.what, one.topic) for one in report.differences} == {("invented", EVIDENCE), ("missing", EVIDENCE)}


def test_evidence_with_fewer_places_and_decisions_before_all_evidence_are_noted(day: World) -> None:
    """As after an upgrade from a release without them."""
    with Tampered(day) as tampered:
        change_evidence(day, -1, lambda evidence: evidence["places"].pop())
        log = day.broker.logs[TP(EVIDENCE, 0)]
        del log._entries[next(n for n, entry in enumerate(log._entries) if entry.record is not None)]
        report = run_audit(tampered.world)
    assert findings(report) == []
    notes = "\n".join(note for one in report.partitions for note in one.notes)
    assert "1 decisions have no evidence record: it has expired" in notes
    assert "1 evidence records have fewer places than expected" in notes


def test_measures_that_were_changed_or_made_up_are_found(day: World) -> None:
    with Tampered(day):
        log = day.broker.logs[TP(MEASURES, 0)]
        places = [n for n, entry in enumerate(log._entries) if entry.record is not None]
        changed, made_up = places[-1], places[0]
        for at, tenant in ((changed, None), (made_up, "made-up")):
            record = log._entries[at].record
            assert record is not None
            measures = json.loads(record.value or b"")
            measures.update({"share": 9.5} if tenant is None else {"tenant_id": tenant})
            value = json.dumps(measures, separators=(",", ":")).encode()
            log._entries[at] = replace(log._entries[at], record=record._replace(value=value))
        report = run_audit(day)
    found = {(one.what, one.topic) for one in report.differences}
    assert found >= {("changed", MEASURES), ("invented", MEASURES)}
    assert not any(one.decision for one in report.differences)
    assert any("measures of the hour from" in line for one in report.differences for line in tell.difference(one))


def test_measures_may_expire(day: World) -> None:
    with Tampered(day):
        log = day.broker.logs[TP(MEASURES, 0)]
        del log._entries[: len(log._entries) // 2]
        report = run_audit(day)
    assert findings(report) == []
    assert any("hours have no measures" in note for one in report.partitions for note in one.notes)
