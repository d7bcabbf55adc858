"""Every worked example of the contract, by the oracle and by replay."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from oracle import judge
from oracle.compare import as_output, holds
from oracle.rulebook import instant, parse_policy
from oracle.worked_cases import NOT_BUILT, case_folders, disagreements, files_of, resolve
from streams.cli.app import main


def _case(folder: Path) -> Any:
    missing = NOT_BUILT.get(folder.name)
    marks = () if missing is None else pytest.mark.xfail(reason=f"not built: {missing}", strict=True)
    return pytest.param(folder, id=folder.name, marks=marks)


CASES = [_case(folder) for folder in case_folders()]
pytestmark = pytest.mark.skipif(
    not CASES, reason="the worked cases (../shared/cases) are beside the repository, not in it"
)


@pytest.mark.parametrize("case", CASES)
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


@pytest.mark.parametrize("case", CASES)
def test_replay_does_not_contradict_the_worked_example(
    case: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = json.loads((case / "expected.json").read_text(encoding="utf-8"))

    def run(files: list[list[str]]) -> dict[str, Any]:
        paths = [tmp_path / f"records-{n}.jsonl" for n in range(len(files))]
        for path, lines in zip(paths, files, strict=True):
            path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        out = tmp_path / "out"
        options = ["--policy", str(case / "policy.json"), "--out", str(out), "--windows", "--json", *expected["args"]]
        monkeypatch.setattr(sys, "argv", ["callwarden", "replay", *map(str, paths), *options])
        with pytest.raises(SystemExit) as exit_status:
            main()
        assert exit_status.value.code in (0, None)

        def lines_of(name: str) -> list[dict[str, Any]]:
            return [json.loads(line) for line in (out / name).read_text(encoding="utf-8").splitlines()]

        enforcement = [{"id": e["id"], **e["data"]} for e in lines_of("enforcement.jsonl")]
        places = {str(path): n for n, path in enumerate(paths)}
        return {
            "enforcement": enforcement,
            "shadow": [{"id": e["id"], **e["data"]} for e in lines_of("shadow.jsonl")],
            "alerts": lines_of("alerts.jsonl"),
            "windows": lines_of("windows.jsonl"),
            "late": [call["call_id"] for call in lines_of("late.jsonl")],
            "rejected": [(places[r["file"]], r["line"]) for r in lines_of("rejected.jsonl")],
            "summary": json.loads(capsys.readouterr().out),
            "holds": holds(enforcement),
        }

    assert list(disagreements(expected, resolve(files_of(case), run))) == []
