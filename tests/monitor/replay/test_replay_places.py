"""The places that a replay of files gives: exactly the records that each decision names."""

from pathlib import Path

import pytest

from helpers.thorough import thorough
from monitor.core.record_places import RecordLogs
from monitor.policy.load import load
from monitor.replay.run import ReplayOptions, replay
from monitor.simulate.run import simulate
from monitor.simulate.settings import SimulationSettings
from schemas import codec
from schemas.inputs import Cdr, Complaint, Finding


@pytest.mark.parametrize("split", thorough([True, False], 1), ids=["a-file-a-kind", "one-file"])
def test_each_decision_names_its_records(split: bool, tmp_path: Path) -> None:
    settings = SimulationSettings(40, 2, 5, 4_000, split=split)
    files = simulate(settings, tmp_path).files
    policy = load(None)
    outcome = replay(files, policy, ReplayOptions(places=True))
    assert outcome.enforcement == replay(files, policy).enforcement
    lines = [path.read_bytes().splitlines() for path in files]
    logs = RecordLogs(list(range(len(files))))
    kinds = set()
    for event in [*outcome.enforcement, *outcome.shadow]:
        places = [logs.find(place) for place in outcome.places.get(event.id, ())]
        records = [codec.read(lines[at[0]][at[1]]) for at in places if at is not None and isinstance(at[0], int)]
        assert len(records) == len(places)
        assert {record.tenant_id for record in records} <= {event.subject}
        evidence = event.data.evidence
        if evidence.call_ids:
            assert [record.call_id for record in records if isinstance(record, Cdr)] == list(evidence.call_ids)
        complaints = [record.complaint_id for record in records if isinstance(record, Complaint)]
        findings = [record.finding_id for record in records if isinstance(record, Finding)]
        assert (complaints, findings) == (list(evidence.complaint_ids), list(evidence.finding_ids))
        kinds |= {type(record).__name__ for record in records}
    assert kinds >= {"Cdr", "Complaint", "Finding"}
