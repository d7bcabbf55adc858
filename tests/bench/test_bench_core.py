"""The bench of the core feeds all records and makes decisions."""

from pathlib import Path

from bench.core import rows_of, run_partitions
from bench.policies import named
from bench.workload import Workload, make


def test_all_records_are_fed_to_their_partitions_and_decided_the_same_twice(tmp_path: Path) -> None:
    made = make(Workload("core", 60, 20_000), tmp_path)
    fetched = rows_of(made.path, 1, 2)
    first, second = run_partitions(fetched, named("built-in")), run_partitions(fetched, named("built-in"))
    assert first == second
    assert first["records"] == made.records
    assert first["snapshots"] > 2
    assert first["decisions"] > 0
