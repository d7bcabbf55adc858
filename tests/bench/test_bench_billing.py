"""The bench of billing's answers runs, and every request is answered."""

import pytest

from bench.billing import main


@pytest.mark.services
def test_every_question_is_answered(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--events", "300", "--tenants", "30", "--coming", "20", "--rate", "40", "--seconds", "3"])
    *_, row = capsys.readouterr().out.splitlines()
    assert row.startswith("| sqlite | 40 | 120 x 200 |")
