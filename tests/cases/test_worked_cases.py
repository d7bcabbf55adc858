"""Every worked example of the contract, by the oracle and by replay."""

import json
from pathlib import Path

import pytest
from oracle import judge
from oracle.compare import as_output
from oracle.rulebook import instant, parse_policy
from oracle.worked import case_folders, disagreements, files_of, resolve

CASES = case_folders()
pytestmark = pytest.mark.skipif(not CASES, reason="the worked examples (../shared/cases) are not here")


@pytest.mark.parametrize("case", CASES, ids=lambda p: p.name)
def test_the_oracle_does_not_contradict_the_worked_example(case: Path) -> None:
    expected = json.loads((case / "expected.json").read_text(encoding="utf-8"))
    policy = parse_policy((case / "policy.json").read_text(encoding="utf-8"))
    times = {
        name: instant(int(value) if value.isdigit() else value)
        for name, value in zip(expected["args"][::2], expected["args"][1::2], strict=True)
    }
    assert times.keys() <= {"--until", "--not-after"}
    out = resolve(
        files_of(case),
        lambda files: as_output(
            judge(files, policy, not_after_ms=times.get("--not-after"), until_ms=times.get("--until"))
        ),
    )
    assert list(disagreements(expected, out)) == []
