"""The bench of growth reads all records in its own partitions, and prints a row for each case."""

from pathlib import Path

import pytest

from bench import growth
from bench.growth import TABLES, Case, as_table
from bench.growth_partitions import Steps, measure
from bench.workload import Workload, make


@pytest.mark.thorough
def test_all_records_are_read_and_their_state_is_restored(tmp_path: Path) -> None:
    made = make(Workload("growth", 60, 5_000), tmp_path)
    found = measure(made.path, "built-in", 3)
    assert found["records"] == made.records
    assert found["tenants"] > 50
    assert found["loop_s"].keys() | found["thread_s"].keys() == {"feed", "estimate", "transaction", "early evaluation"}
    assert found["stored_bytes"] > 10_000
    assert len(found["restore_s"]) == 3
    assert all(took_s > 0 for took_s in found["restore_s"])


def test_a_case_in_two_tables_is_measured_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tasks: list[str] = []
    answer = {"rules": 7, "records": 1_000, "cpu_s": 0.02, "loop_s": {"feed": 0.004}, "thread_s": {}}
    sizes = {"peak_bytes": 5_000_000, "stored_bytes": 200_000, "restore_s": [0.25, 0.5]}

    def child(task: str, **arguments: object) -> dict[str, object]:
        tasks.append(task)
        return {"path": ""} if task == "workload" else {**answer, **sizes}

    monkeypatch.setattr(growth, "child", child)
    growth.main(["--only", "rules", "partitions", "--cache", str(tmp_path), "--json", str(tmp_path / "found.json")])
    different = {*TABLES["rules"], *TABLES["partitions"]}
    assert tasks.count("growth") == len(different) - 1  # the built-in rules in 8 partitions
    printed = capsys.readouterr().out
    assert "| 7 built-in | 1,000 | 20.00 | 4 (feed) | – | 5 | 0.2 | 0.75 |" in printed
    assert "| 64 | 1,000 |" in printed
    assert (tmp_path / "found.json").exists()


def test_the_longest_step_is_named() -> None:
    steps = Steps()
    for name, in_thread in (("feed", False), ("transaction", True)):
        steps.timed(name, lambda: sum(range(1_000)), in_thread)
    assert steps.loop_s.keys() == {"feed"}
    assert steps.thread_s.keys() == {"transaction"}
    assert steps.total_s == pytest.approx(steps.loop_s["feed"] + steps.thread_s["transaction"])
    one = {"rules": 1, "records": 1, "cpu_s": 1.0, "peak_bytes": 0, "stored_bytes": 0, "restore_s": []}
    spent = {"loop_s": {"feed": 0.1, "estimate": 0.2}, "thread_s": {"transaction": 1.5}}
    (*_, row, _) = as_table("days", [(Case("30", days=30), {**one, **spent})])
    assert "| 200 (estimate) | 1,500 (transaction) |" in row
