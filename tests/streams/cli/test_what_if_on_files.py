"""`policy preflight` and `policy across` on files with calls that come twice, and with records of the future."""

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from streams.cli.app import build

T0 = 1_772_415_000_000
FAR_MS = 4_000_000_000_000


def call(number: int, tenant: str = "acme", **fields: Any) -> dict[str, Any]:
    start_ms = T0 + number * 1_000
    times = {"start_ms": start_ms, "answer_ms": start_ms, "end_ms": start_ms + number % 4 * 3_000}
    who = {"call_id": f"c{number}", "tenant_id": tenant, "caller": "+8675500001111", "callee": f"+86199{number:08}"}
    return {"type": "cdr", **who, "direction": "outbound", **times, "outcome": "answered", **fields}


def report(command: str, path: Path, records: list[dict[str, Any]], *options: str) -> Any:
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records))
    done = CliRunner().invoke(build("policy"), ["policy", command, str(path), "--json", *options])
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def in_breach(found: Any) -> list[str]:
    return [rule["rule"] for rule in found["rules"] if rule["tenants"]]


def test_a_record_of_the_future_hides_no_tenant_from_preflight(tmp_path: Path) -> None:
    """It would move the clock, and every other call would be late."""
    calls = [call(number) for number in range(400)]
    far = call(0, "evil") | {"start_ms": FAR_MS, "answer_ms": FAR_MS, "end_ms": FAR_MS}
    found = report("preflight", tmp_path / "records.jsonl", [far, *calls])
    assert "zero-second-calls" in in_breach(found)
    assert (found["records"], found["rejected"], found["tenants"]) == (400, 1, 1)
    wide = report("preflight", tmp_path / "records.jsonl", [far, *calls], "--not-after", "2099-12-31T00:00:00Z")
    assert (wide["rejected"], in_breach(wide)) == (0, [])


def test_a_record_of_the_future_hides_no_ban_from_across(tmp_path: Path) -> None:
    fraud = {"type": "complaint", "complaint_id": "p", "tenant_id": "first", "category": "fraud", "status": "verified"}
    fraud |= {"reported_ms": T0, "updated_ms": T0 + 60_000}
    far = call(0, "evil") | {"start_ms": FAR_MS, "answer_ms": FAR_MS, "end_ms": FAR_MS}
    records = [far, call(1, "first"), fraud, call(3_600, "second")]
    found = report("across", tmp_path / "records.jsonl", records)
    (reused,) = found["reused_callers"]
    assert (reused["banned_tenant_id"], reused["tenant_id"], found["records"]) == ("first", "second", 3)
    assert reused["banned_ms"] == T0 + 60_000


def test_calls_that_come_again_are_counted_once_across_tenants(tmp_path: Path) -> None:
    tenants = [
        {"type": "tenant", "tenant_id": name, "owner_id": "o", "declared_businesses": [], "numbers": []}
        | {"updated_ms": T0}
        for name in ("a", "b")
    ]
    calls = [call(number, "ab"[number % 2], callee="+8619900000000", consent_id="k") for number in range(3)]
    found = report("across", tmp_path / "records.jsonl", [*tenants, *calls, *calls, *calls])
    assert found["joint_callees"] == [], "3 attempts, of which none is beyond the limit of 5"
    assert [one["calls"] for one in found["shared_consents"]] == [{"a": 2, "b": 1}]
