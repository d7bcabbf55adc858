"""`callwarden policy across --from-topics` on a real Kafka reports what it reports for the same records in files."""

import asyncio
import json
import time
import uuid
from pathlib import Path
from typing import Any

import pytest
from test_reviews_live import Reviewer
from worker_processes import PARTITIONS
from worker_traffic import Sender, Sent, make_topics, sender_to

from monitor.decoding.input_topics import INPUTS
from monitor.partition.partitioner import partition_of
from streams.kafka.topic_names import TopicNames

pytestmark = pytest.mark.services

_TOPIC = {"cdr": "cdr", "tenant": "tenants", "complaint": "complaints"}
CALLEE, CALLER, NEW_CALLER = "+8613800001234", "+8619000000001", "+8619000000002"


def records(now_ms: int) -> list[dict[str, Any]]:
    """Two tenants of one owner call a number six times together; one is banned, and another goes on with its number."""
    minute, begin_ms = 60_000, now_ms - 3_600_000
    found: list[dict[str, Any]] = [
        {"type": "tenant", "tenant_id": tenant, "owner_id": owner, "declared_businesses": [], "numbers": []}
        | {"updated_ms": begin_ms}
        for tenant, owner in (("first", "o1"), ("second", "o1"), ("other", "o2"))
    ]
    fraud = {"type": "complaint", "complaint_id": "p1", "tenant_id": "first", "category": "fraud", "status": "verified"}
    found.append(fraud | {"reported_ms": begin_ms, "updated_ms": begin_ms + 20 * minute})

    def call(tenant: str, at_ms: int, caller: str, callee: str, consent: str | None) -> None:
        times = {"start_ms": at_ms - 9_000, "answer_ms": at_ms - 8_000, "end_ms": at_ms}
        who = {"call_id": f"c{len(found)}", "tenant_id": tenant, "caller": caller, "callee": callee}
        outcome = {"direction": "outbound", "outcome": "answered", "consent_id": consent}
        found.append({"type": "cdr", **who, **outcome, **times})

    for n in range(3):
        call("first", begin_ms + n * minute, CALLER, CALLEE, "consent-1")
        call("second", begin_ms + n * minute + 1, NEW_CALLER, CALLEE, "consent-1")
        call("other", begin_ms + (40 + n) * minute, CALLER, f"+861390000{n:04}", None)
    return found


def sent(record: dict[str, Any]) -> Sent:
    key = record["tenant_id"].encode()
    home = partition_of(key, PARTITIONS, "murmur2")
    return Sent(INPUTS.index(_TOPIC[record["type"]]), home, key, json.dumps(record).encode())


def without_order(plain: Any) -> Any:
    """Lists in any order: topics are read partition by partition, and files line by line."""
    if isinstance(plain, dict):
        return {key: without_order(value) for key, value in plain.items()}
    return sorted(map(without_order, plain), key=str) if isinstance(plain, list) else plain


async def test_across_reports_from_topics_what_it_reports_from_files(address: str, tmp_path: Path) -> None:
    own = uuid.uuid4().hex[:8]
    names = TopicNames(f"{own}.in.", f"{own}.out.")
    key = tmp_path / "key"
    key.write_text("a key of the tests, long enough for all\n")
    key.chmod(0o600)
    told = {
        "CALLWARDEN_BOOTSTRAP_SERVERS": address,
        "CALLWARDEN_INPUT_PREFIX": names.input_prefix,
        "CALLWARDEN_OUTPUT_PREFIX": names.output_prefix,
        "CALLWARDEN_KEY_FILE": str(key),
    }
    await asyncio.to_thread(make_topics, told)
    some = records(time.time_ns() // 1_000_000)
    unreadable = Sent(0, 0, b"first", b"{")
    async with sender_to(address) as producer:
        await Sender(producer, names).send([unreadable, *map(sent, some)])
    file = tmp_path / "records.jsonl"
    file.write_text("".join(json.dumps(one) + "\n" for one in some))

    run = Reviewer(told)
    (status, live), (status_of_files, of_files), (text_status, text) = await asyncio.gather(
        run("policy", "across", "--from-topics", "--json"),
        run("policy", "across", str(file), "--json"),
        run("policy", "across", "--from-topics"),
    )
    assert (status, status_of_files, text_status) == (0, 0, 0), live + of_files + text
    found, expected = json.loads(live), json.loads(of_files)
    assert without_order(found) == without_order(expected)
    [joint], [reused], [shared] = found["joint_callees"], found["reused_callers"], found["shared_consents"]
    assert joint["attempts"] == {"first": 3, "second": 3}
    assert (reused["banned_tenant_id"], reused["tenant_id"]) == ("first", "other")
    assert (shared["consent_id"], shared["calls"]) == ("consent-1", {"first": 3, "second": 3})
    for said in (live, text):
        assert not any(number in said for number in (CALLEE, CALLER, NEW_CALLER))
    assert "owner o1: first 3, second 3" in text
