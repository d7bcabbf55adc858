"""The bench of the metrics page runs, and its page stays within the documented limit."""

from pathlib import Path

import pytest

from bench.metrics import CASES, main


@pytest.mark.thorough
def test_the_page_stays_within_its_limit_in_every_case(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--tenants", "2000", "--calls", "20000", "--cache", str(tmp_path)])
    table = capsys.readouterr().out.splitlines()[2:]
    cells = [[cell.strip().replace(",", "") for cell in line.split("|")[1:-1]] for line in table]
    named = {case: int(count) for case, _, count, *_ in cells}
    assert named.keys() == CASES.keys()
    for case, distance_options in CASES.items():
        assert named[case] <= 4 * distance_options.most + distance_options.busiest
    assert named["all near"] > 3 * CASES["all near"].most
    assert named["no tenant names"] == 0
    left_out = {case: int(count) for case, _, _, count, *_ in cells}
    assert left_out["all near"] > 10_000
