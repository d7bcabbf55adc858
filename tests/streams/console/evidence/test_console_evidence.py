"""The records that decisions name: fetched by their places, kept with numbers masked, expired ones said to be so."""

from pathlib import Path
from typing import Any

import pytest

from helpers.console_harness import NAMES, ConsoleHarness, console_at
from oracle.ledger import T0
from schemas import codec
from schemas.evidence import EvidencePlaces, RecordPlace
from schemas.inputs import Cdr, Complaint, Record
from streams.console.evidence.fetcher import EvidenceFetcher
from streams.console.evidence.records import NamedRecord, records_of
from streams.console.evidence.tables import EVIDENCE
from streams.console.tables import REJECTED
from streams.kafka.api import TP, TransientError

CALLS = f"{NAMES.input_prefix}cdr"
COMPLAINTS = f"{NAMES.input_prefix}complaints"
NUMBER, OTHER = "+8613912345678", "13800138000"


def call(call_id: str, tenant: str = "acme") -> Cdr:
    record = codec.convert(
        {
            "type": "cdr", "call_id": call_id, "tenant_id": tenant, "direction": "outbound", "caller": OTHER,
            "callee": NUMBER, "start_ms": T0, "end_ms": T0 + 9_000, "outcome": "no_answer", "source": f"trunk {NUMBER}",
        }
    )  # fmt: skip
    assert isinstance(record, Cdr)
    return record


def complaint(name: str) -> Complaint:
    record = codec.convert(
        {
            "type": "complaint", "complaint_id": name, "tenant_id": "acme", "category": "fraud", "status": "verified",
            "caller": OTHER, "complainant": "person-1", "channel": "hotline", "reported_ms": T0, "updated_ms": T0,
        }
    )  # fmt: skip
    assert isinstance(record, Complaint)
    return record


class Vault:
    """A console, its fetcher, and input topics of two partitions."""

    def __init__(self, console: ConsoleHarness) -> None:
        self.console, self.held = console, console.held
        for topic in (CALLS, COMPLAINTS):
            self.held.counts[topic] = 2
            for number in range(2):
                self.held.logs[TP(topic, number)], self.held.first[TP(topic, number)] = [], 0
        self.fetcher = EvidenceFetcher(self.held, console.database, console.telemetry)  # type: ignore[arg-type]

    def put(self, topic: str, *records: Record, number: int = 0) -> list[RecordPlace]:
        start = self.held.end(TP(topic, number))
        self.held.put(topic, number, *map(codec.encode, records))
        return [RecordPlace(topic, number, start + at) for at in range(len(records))]

    async def name(self, decision: str, *places: RecordPlace, tenant: str = "acme") -> None:
        self.publish(decision, *places, tenant=tenant)
        await self.console.follow()

    def publish(self, decision: str, *places: RecordPlace, tenant: str = "acme") -> None:
        value = codec.encode(EvidencePlaces(decision, places))
        self.held.put(NAMES.output("evidence"), 0, value, key=tenant.encode())

    def of(self, decision: str) -> list[NamedRecord]:
        with self.console.database.reading() as connection:
            return records_of(connection, decision)

    def states(self, decision: str) -> list[str]:
        return [one.state for one in self.of(decision)]


def fields(one: NamedRecord) -> dict[str, Any]:
    assert one.fields is not None
    return one.fields


async def test_named_records_are_kept_in_their_order_with_numbers_masked(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console:
        vault = Vault(console)
        first, _, third = vault.put(CALLS, call("c-1"), call("c-x"), call("13912345678"), number=1)
        [about] = vault.put(COMPLAINTS, complaint("k-1"))
        await vault.name("cwe-1", third, first, about)
        assert vault.states("cwe-1") == ["wanted"] * 3
        assert await vault.fetcher.fetch_due() == 3
        assert vault.states("cwe-1") == ["kept"] * 3
        kept = vault.of("cwe-1")
        assert [(one.type, one.topic, one.partition, one.offset) for one in kept] == [
            ("cdr", CALLS, 1, 2), ("cdr", CALLS, 1, 0), ("complaint", COMPLAINTS, 0, 0),
        ]  # fmt: skip
        assert [fields(one).get("call_id") for one in kept] == ["13912345678", "c-1", None]
        assert fields(kept[2])["complainant"] == "person-1"
        assert fields(kept[1])["callee"].endswith("78")
        for row in console.rows(EVIDENCE):
            assert all(number not in row["value"].decode().replace('"call_id":"13912345678"', "")
                       for number in (OTHER, NUMBER, "13912345678"))  # fmt: skip
        vault.held.delete_before(CALLS, 1, 3)  # what is kept outlives its topic
        assert await vault.fetcher.fetch_due() == 0
        assert vault.states("cwe-1") == ["kept"] * 3


async def test_records_that_the_topic_no_longer_has_have_expired(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console:
        vault = Vault(console)
        places = vault.put(CALLS, *(call(f"c-{n}") for n in range(3)))
        vault.held.delete_before(CALLS, 0, 2)
        gone = RecordPlace("former.cdr", 0, 1), RecordPlace(CALLS, 7, 0)
        await vault.name("cwe-1", *places, *gone)
        await vault.fetcher.fetch_due()
        assert vault.states("cwe-1") == ["expired", "expired", "kept", "expired", "expired"]


@pytest.mark.parametrize("value", [b"{", None, codec.encode(call("c-1", tenant="other"))])
async def test_what_is_no_record_of_the_tenant_is_not_kept(tmp_path: Path, value: bytes | None) -> None:
    async with console_at(tmp_path) as console:
        vault = Vault(console)
        vault.held.put(CALLS, 0, value)
        await vault.name("cwe-1", RecordPlace(CALLS, 0, 0), RecordPlace(CALLS, 0, 99))
        await vault.fetcher.fetch_due()
        assert vault.states("cwe-1") == ["unreadable", "unreadable"]
        assert [row["value"] for row in console.rows(EVIDENCE)] == [None, None]


async def test_a_broker_that_is_away_changes_nothing_and_a_restart_goes_on(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console:
        vault = Vault(console)
        places = vault.put(CALLS, *(call(f"c-{n}") for n in range(600)))
        for number in range(30):
            vault.publish(f"cwe-{number}", *places[number * 20 : number * 20 + 20])
        await console.follow()
        vault.held.away = True
        with pytest.raises(TransientError):
            await vault.fetcher.fetch_due()
        vault.held.away = False
        assert await vault.fetcher.fetch_due() == 500
        held = vault.held
    async with console_at(tmp_path, held) as console:
        fetcher = EvidenceFetcher(held, console.database, console.telemetry)  # type: ignore[arg-type]
        value = console.telemetry.registry.get_sample_value
        assert await fetcher.fetch_due() == 100
        assert value("callwarden_console_evidence_waiting_records") == 100
        assert await fetcher.fetch_due() == 0
        assert value("callwarden_console_evidence_waiting_records") == 0
        assert value("callwarden_console_evidence_records_total", {"state": "kept"}) == 100
        rows = console.rows(EVIDENCE)
        assert {row["state"] for row in rows} == {"kept"}
        assert all(f'"c-{row["offset"]}"' in row["value"].decode() for row in rows)


async def test_evidence_that_cannot_be_read_steps_aside_alone(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console:
        vault = Vault(console)
        many = EvidencePlaces("cwe-m", (RecordPlace(CALLS, 0, 0),) * 201)
        for value in (b"{", None, codec.encode(many), b'{"enforcement_id":"cwe-n","places":[{"topic":"t"}]}'):
            vault.held.put(NAMES.output("evidence"), 0, value, key=b"acme")
        [place] = vault.put(CALLS, call("c-1"))
        await vault.name("cwe-1", place)
        await vault.name("cwe-1", place)  # delivered again
        assert len(console.rows(REJECTED)) == 4
        assert [row["enforcement_id"] for row in console.rows(EVIDENCE)] == ["cwe-1"]
