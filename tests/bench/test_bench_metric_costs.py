"""The bench of metrics measures each of them."""

from pathlib import Path

import pytest

from bench.metric_costs import ALL, METRICS, main


@pytest.mark.thorough
def test_each_metric_is_measured_with_and_without(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--tenants", "15", "--calls", "500", "--rounds", "1", "--cache", str(tmp_path)])
    table = capsys.readouterr().out.splitlines()[2:]
    cells = [[cell.strip().replace(",", "") for cell in line.split("|")[1:-1]] for line in table]
    added = {name: int(count) for name, *_, count in cells}
    assert list(added) == [*METRICS, ALL]
    assert added[ALL] >= max(added[name] for name in METRICS) > 0
