"""The bench of the ingest service runs, and every batch is accepted."""

import pytest

from bench.ingest import main


@pytest.mark.services
def test_every_batch_is_accepted(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--rate", "2000", "--seconds", "2", "--records", "100"])
    *_, plain, keyed = capsys.readouterr().out.splitlines()
    assert plain.startswith("| without keys |")
    assert keyed.startswith("| a key per request |")
    for row in (plain, keyed):  # a busy machine may answer 503 first
        assert "| 40 x 202" in row
