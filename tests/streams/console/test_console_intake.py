"""The intake: each decision opens a case, changes or closes one; what cannot be read steps aside alone."""

from pathlib import Path

from helpers.console_harness import NAMES, console_at, topics
from oracle.ledger import DAY, T0, event, pending, review
from schemas import codec
from schemas.inputs import Application, Tenant
from schemas.outputs import Alert, Evidence, Reason
from streams.console.tables import ALERTS, APPLICATIONS, CASES, EVENTS, LOSSES, REJECTED, REVIEWS, TENANTS

UPHELD = {"kind": "ban", "status": "final", "behaviour": "undeclared_prohibited_business", "tier": "severe"}


def tenant(updated_ms: int, name: str | None = None, tenant_id: str = "acme", **more: object) -> Tenant:
    record = codec.convert(
        {
            "type": "tenant", "tenant_id": tenant_id, "declared_businesses": ["贷款"], "numbers": ["10690000"],
            "updated_ms": updated_ms, "name": name, **more,
        }
    )  # fmt: skip
    assert isinstance(record, Tenant)
    return record


async def test_a_pending_decision_waits_until_it_is_decided(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console:
        await console.put(pending("cwe-p"), event("cwe-w", decided_ms=T0 + 1))
        first, second = console.rows(CASES)
        assert (first["id"], first["status"], first["queue"], first["order_ms"]) == (
            "cwe-p", "pending", "cases", T0 + 7 * DAY,
        )  # fmt: skip
        assert (second["id"], second["status"], second["queue"]) == ("cwe-w", "final", None)
        upheld = event("cwe-u", supersedes="cwe-p", evidence=Evidence(review_ids=("r-1",)), **UPHELD)
        await console.put(review("r-1", "cwe-p"), upheld)
        case = console.rows(CASES)[0]
        assert (case["in_force_id"], case["status"], case["queue"]) == ("cwe-u", "final", None)
        reversal = event("cwe-r", kind="reversal", reverses="cwe-u", decided_ms=T0 + DAY)
        await console.put(review("r-2", "cwe-u", "overturn"), reversal)
        case = console.rows(CASES)[0]
        assert (case["in_force_id"], case["status"], case["closed_ms"]) == ("cwe-u", "reversed", T0 + DAY)
        assert [row["case_id"] for row in console.rows(EVENTS)] == ["cwe-p", "cwe-p", "cwe-p", "cwe-w"]
        assert [row["review_id"] for row in console.rows(REVIEWS)] == ["r-1", "r-2"]


async def test_a_lapse_leaves_the_queue(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console:
        await console.put(pending("cwe-p"), event("cwe-l", kind="lapse", reverses="cwe-p", decided_ms=T0 + 7 * DAY))
        [case] = console.rows(CASES)
        assert (case["status"], case["queue"]) == ("lapsed", None)


async def test_an_application_waits_in_a_queue_of_its_own(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console:
        waits = pending(
            "cwe-a", kind="admission_review", behaviour="application_review", tier=None, review_by_ms=None,
            evidence=Evidence(application_ids=("app-1",)),
        )  # fmt: skip
        application = codec.convert(
            {
                "type": "application", "application_id": "app-1", "tenant_id": "acme", "declared_business": "贷款",
                "updated_ms": T0,
            }
        )  # fmt: skip
        assert isinstance(application, Application)
        await console.put(application, waits)
        [case] = console.rows(CASES)
        assert (case["queue"], case["order_ms"], case["review_by_ms"]) == ("admissions", T0, None)
        [stored] = console.rows(APPLICATIONS)
        assert stored["declared_business"] == "贷款"


async def test_the_newest_tenant_record_as_written_stands(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console:
        await console.put(tenant(T0, "old"), tenant(T0 + 2, "Newest Ltd", owner_id="o-1"), tenant(T0 + 1, "between"))
        [stored] = console.rows(TENANTS)
        assert (stored["name"], stored["name_folded"], stored["owner_id"]) == ("Newest Ltd", "newest ltd", "o-1")
        assert (stored["businesses"], stored["numbers"]) == ('["贷款"]', 1)


async def test_shadow_decisions_open_no_case_and_alerts_keep_their_newest_state(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console:
        await console.put(event("cwe-s"), shadow=True)
        assert console.rows(CASES) == []
        assert [row["shadow"] for row in console.rows(EVENTS)] == [True]
        reason = Reason("短呼", "short")
        fires = Alert("al-1", "acme", "short-calls-day", "warning", "firing", None, T0, T0, None, reason)
        ends = Alert("al-1", "acme", "short-calls-day", "warning", "resolved", None, T0, T0 + 5, "cwe-w", reason)
        await console.put(fires, ends)
        [alert] = console.rows(ALERTS)
        assert (alert["state"], alert["updated_ms"], alert["enforcement_id"]) == ("resolved", T0 + 5, "cwe-w")


async def test_what_cannot_be_read_steps_aside_alone(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console:
        topic = NAMES.output("enforcement")
        console.held.put(topic, 0, b"{", None, codec.encode(event("e" * 200)), codec.encode(pending("cwe-p")))
        console.held.put("callwarden.tenants", 1, codec.encode(review("r", "cwe-p")))
        await console.follow()
        assert [row["id"] for row in console.rows(CASES)] == ["cwe-p"]
        kept = {(row["topic"], row["offset"]): row["reason"] for row in console.rows(REJECTED)}
        assert len(kept) == 4
        assert "expected at most 128" in kept[topic, 2]
        assert "expected a tenant" in kept["callwarden.tenants", 0]
        assert console.telemetry.registry.get_sample_value("callwarden_console_rejected_total") == 4


async def test_lost_records_are_remembered_and_passed_over(tmp_path: Path) -> None:
    held = topics()
    async with console_at(tmp_path, held) as console:
        await console.put(pending("cwe-p"))
        held.put(NAMES.output("enforcement"), 0, *(codec.encode(event(f"cwe-{n}")) for n in range(5)))
        held.delete_before(NAMES.output("enforcement"), 0, 4)
        await console.follow()
        [loss] = console.rows(LOSSES)
        assert (loss["first"], loss["stop"]) == (1, 4)
        assert [row["id"] for row in console.rows(CASES)] == ["cwe-3", "cwe-4", "cwe-p"]
        assert console.telemetry.registry.get_sample_value("callwarden_console_lost_total") == 1


async def test_odd_ids_are_kept_whole(tmp_path: Path) -> None:
    odd = "a/../\0\\é\n租"
    async with console_at(tmp_path) as console:
        await console.put(pending("cwe-p", odd), tenant(T0, odd, odd))
        assert [row["tenant_id"] for row in console.rows(CASES)] == [odd]
        assert [row["name"] for row in console.rows(TENANTS)] == [odd]
