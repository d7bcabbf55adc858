"""The records that a worker's decisions name: kept by the console within a minute, or said to have expired."""

import asyncio
import json
import os
import time
import uuid
from pathlib import Path

import httpx
import pytest
from broker_clusters import cluster_at, delete_below
from deadlines import deadline
from sqlalchemy import Connection, select
from test_console_killed import Console, load_on
from worker_processes import PARTITIONS, fleet_of
from worker_traffic import Sender, Sent, call_now, make_topics, sender_to, tenants_of

from helpers.patience import PATIENCE_S
from monitor.decoding.input_topics import INPUTS
from monitor.partition.partitioner import partition_of
from streams.console.evidence.records import NamedRecord, records_of
from streams.console.evidence.tables import WANTED
from streams.console.identity import accounts, sessions
from streams.console.identity.sessions import Client, Lifetime, Stage
from streams.console.identity.users import Role, User
from streams.console.tables import CASES
from streams.consumers.database import Database
from streams.kafka.api import TP
from streams.kafka.topic_names import TopicNames

pytestmark = pytest.mark.services

NUMBER, OTHER = "13912345678", "13898765432"
LI = User("local:li", "Li", frozenset({Role.REVIEWER}))
RULE = "many-short-calls"
POLICY = f"""
id: vault
version: "1"
extends: access-rules
defaults: {{lateness: 3s}}
add:
- id: {RULE}
  behaviour: blind_calling
  metric: short_call_ratio
  above: 0.5
  window: 5m
  step: 5m
  min_denominator: 5
  mode: enforce
"""
CALLS = 12


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def home_of(tenant: str) -> int:
    """The partition of a tenant's records."""
    return partition_of(tenant.encode(), PARTITIONS, "murmur2")


def complaint(tenant: str, at_ms: int) -> Sent:
    """A complaint, which is a warning by itself."""
    record = {"type": "complaint", "tenant_id": tenant, "complaint_id": f"k-{tenant}", "category": "number_leak"}
    record |= {"status": "verified", "caller": NUMBER, "channel": f"asked {OTHER}"}
    value = json.dumps(record | {"reported_ms": at_ms, "updated_ms": at_ms}).encode()
    return Sent(INPUTS.index("complaints"), home_of(tenant), tenant.encode(), value)


def short_calls(tenant: str) -> list[Sent]:
    """Calls of twenty minutes ago that the rule finds too short, and a complaint."""
    began_ms = now_ms() - 20 * 60_000
    times = {"start_ms": began_ms, "answer_ms": began_ms + 1_000, "end_ms": began_ms + 2_000, "outcome": "answered"}
    calls = [call_now(tenant, f"c-{number}", caller=NUMBER, callee=OTHER, **times) for number in range(CALLS)]
    return [*calls, complaint(tenant, began_ms)]


def evidence_of(database: Database, tenant: str) -> dict[str, list[NamedRecord]]:
    """The records that are named by each decision about a tenant, by rule or behaviour."""
    with database.reading() as connection:
        rows = connection.execute(select(CASES.c.rule_id, CASES.c.in_force_id).where(CASES.c.tenant_id == tenant)).all()
        return {rule: records_of(connection, decision) for rule, decision in rows}


async def evidence(database: Database, tenant: str, decisions: int) -> dict[str, list[NamedRecord]]:
    """The same, once there are so many decisions and no record is wanted any more: in time after they were read."""
    async with deadline(f"the decisions about {tenant} are known"):
        while len(found := evidence_of(database, tenant)) < decisions:
            await asyncio.sleep(0.2)
    async with deadline(f"each record of {tenant} is fetched or has expired"):
        while not all(found.values()) or any(one.state == WANTED for some in found.values() for one in some):
            await asyncio.sleep(0.2)
            found = evidence_of(database, tenant)
    return found


def session(connection: Connection) -> str:
    """The token of a signed-in reviewer."""
    accounts.add_without_password(connection, LI, now_ms())
    life = Lifetime(3_600_000, 3_600_000)
    return sessions.start(connection, LI.subject, Stage.FULL, "link", Client("127.0.0.1", "test"), now_ms(), life)


async def decisions_in(address: str, topic: str, tenant: str) -> int:
    """How many decisions about the tenant the topic has."""
    tp = TP(topic, home_of(tenant))
    async with cluster_at(address) as cluster:
        end = (await cluster.ends([tp]))[tp]
        batches = [batch async for batch in cluster.read(tp, 0, end)]
    values = [json.loads(value) for batch in batches for value in batch.values if value]
    return sum(value["subject"] == tenant for value in values)


async def test_records_are_kept_within_a_minute_and_deleted_ones_have_expired(address: str, tmp_path: Path) -> None:
    own = uuid.uuid4().hex[:8]
    names = TopicNames(f"{own}.in.", f"{own}.out.")
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY, "utf-8")
    url = f"sqlite:///{tmp_path / 'console.db'}"
    environment = {
        "CALLWARDEN_BOOTSTRAP_SERVERS": address,
        "CALLWARDEN_INPUT_PREFIX": names.input_prefix,
        "CALLWARDEN_OUTPUT_PREFIX": names.output_prefix,
        "CALLWARDEN_APPLICATION_ID": f"app-{own}",
        "CALLWARDEN_POLICY": str(policy),
        "CALLWARDEN_IDLE_AFTER": "3s",
        "CALLWARDEN_OUTAGE_GRACE": "26h",
        "CALLWARDEN_CONSOLE_DATABASE": url,
    }
    await asyncio.to_thread(make_topics, environment)
    decided = names.output("enforcement")
    [kept], [gone], [live] = (tenants_of(number, 1) for number in range(3))
    console = Console(tmp_path / "log", {**os.environ, **environment})
    database = Database(url, "console", package="streams.console")
    try:
        with fleet_of(tmp_path, environment) as fleet:
            fleet.add()
            await asyncio.to_thread(fleet.settle)
            async with sender_to(address) as producer:
                sender = Sender(producer, names)
                await sender.send([*short_calls(kept), *short_calls(gone)])
                async with load_on(sender):  # current calls in all partitions: the windows of the others close
                    async with deadline("both decisions about both are made"):
                        while [await decisions_in(address, decided, each) for each in (kept, gone)] != [2, 2]:
                            await asyncio.sleep(0.5)
                    for source in ("cdr", "complaints"):
                        await delete_below(address, TP(f"{names.input_prefix}{source}", home_of(gone)), -1)
                    console.start()
                    await console.ready()
                    await sender.send([complaint(live, now_ms())])
                    found = {tenant: await evidence(database, tenant, 2) for tenant in (kept, gone)}
                    found |= {live: await evidence(database, live, 1)}
            cookies = {"callwarden_session": await database.run(session), "lang": "en"}
            with database.reading() as connection:
                query = select(CASES.c.tenant_id, CASES.c.id).where(CASES.c.rule_id == RULE)
                cases = {row.tenant_id: row.id for row in connection.execute(query)}
            async with httpx.AsyncClient(base_url=console.url, cookies=cookies, timeout=PATIENCE_S) as browser:
                pages = {tenant: await browser.get(f"/cases/{case_id}") for tenant, case_id in cases.items()}
                pages |= {"zh": await browser.get(f"/cases/{cases[gone]}", headers={"cookie": lang_zh(cookies)})}
    finally:
        database.close()
        if console.child is not None:
            console.child.kill()
    states = {tenant: {one.state for some in named.values() for one in some} for tenant, named in found.items()}
    assert states == {kept: {"kept"}, gone: {"expired"}, live: {"kept"}}
    assert len(found[kept][RULE]) == len(found[gone][RULE]) == CALLS
    calls = [one.fields or {} for one in found[kept][RULE]]
    assert {call["call_id"] for call in calls} == {f"c-{number}" for number in range(CALLS)}
    assert {(call["caller"], call["callee"]) for call in calls} == {("•••••••••78", "•••••••••32")}
    assert {page.status_code for page in pages.values()} == {200}
    assert pages[kept].text.count("•••••••••78") >= CALLS
    assert f"Records that expired before they were read: {CALLS}." in pages[gone].text
    assert f"{CALLS} 条记录在读取前已过期" in pages["zh"].text
    shown = [*(page.text for page in pages.values()), (tmp_path / "log").read_text("utf-8")]
    assert not [number for number in (NUMBER[2:], OTHER[2:]) for text in shown if number in text]


def lang_zh(cookies: dict[str, str]) -> str:
    """The header with these cookies, in Chinese."""
    return "; ".join(f"{name}={value}" for name, value in (cookies | {"lang": "zh"}).items())
