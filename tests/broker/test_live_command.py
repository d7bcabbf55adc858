"""The whole system in one terminal: a Kafka node, topics, a worker, traffic, decisions."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer
from deadlines import killed_when_late

from helpers.patience import PATIENCE_S
from monitor.policy.load import loads
from monitor.text.timestamps import parse_moment
from schemas.outputs import Enforcement
from streams.cli.develop.live import POLICY
from streams.dev.kafka_node import free_ports

pytestmark = pytest.mark.services
README = Path(__file__).parents[2] / "README.md"
ADDRESS = re.compile(r"^Kafka .* runs at (\S+)$", re.MULTILINE)
DECISION = re.compile(
    r"^\d\d-\d\d \d\d:\d\d:\d\d[ <] t\d+  .*(?:警告|终止服务|封号|号码申请驳回).*  \[[\w-]+\]  .+ / .+", re.MULTILINE
)
READY = "ready: records that you send now are decided"
NOTICE = re.compile(r"^通知 Notice  .+租户 t\d+.* / .+tenant t\d+", re.MULTILINE)
STATUS = re.compile(
    r"decided to \d\d-\d\d \d\d:\d\d:\d\d UTC · .+ judged [\d,]+ · .+ late [\d,]+ · .*partitions 2/2 · .+ lag [\d,]+$",
    re.MULTILINE,
)
BANNED = re.compile(r"^\d\d-\d\d \d\d:\d\d:\d\d[ <] (t\d+)  严重违规·封号 Severe · Ban  ", re.MULTILINE)


def address_in(said: str) -> str:
    found = ADDRESS.search(said)
    assert found, said
    return found[1]


async def policy_of_a_decision(address: str) -> str:
    topic = "callwarden.enforcement"
    async with AIOKafkaConsumer(topic, bootstrap_servers=address, auto_offset_reset="earliest") as consumer:
        decision = await consumer.getone()
    return msgspec.json.decode(decision.value, type=Enforcement).data.policy.id


def decided_over_http(
    live: subprocess.Popen[str], port: int, seen: list[str], sent_to_worker: Callable[[], None] = lambda: None
) -> None:
    """Send the requests of the README, and read the decision that it promises; `killed_when_late` ends the wait."""
    [script] = re.findall(r"^```sh\n(now=.*?)^```$", README.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    sent = subprocess.run(
        ["sh", "-e", "-c", script.replace("6070", str(port))], capture_output=True, text=True, timeout=PATIENCE_S
    )
    answer = json.loads(sent.stdout)
    answer.pop("decided", None)  # the ingest service may not have read it yet
    assert answer == {"received": 1, "accepted": 1, "rejected": 0, "rejections": []}, sent.stderr
    sent_to_worker()
    assert live.stdout is not None
    for line in live.stdout:
        seen.append(line)
        if "my-tenant" in line and "终止服务" in line:
            return


def post(port: int, records: list[dict[str, object]]) -> dict[str, Any]:
    body, headers = json.dumps(records).encode(), {"Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/records", body, headers)
    until_s = time.monotonic() + PATIENCE_S
    while True:
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
                found: dict[str, Any] = json.loads(answer.read())
        except urllib.error.URLError as error:  # the ingest service starts beside the worker
            if not isinstance(error.reason, ConnectionRefusedError) or time.monotonic() > until_s:
                raise
            time.sleep(0.2)
        else:
            assert found["accepted"] == len(records)
            return found


def get(port: int, path: str, accept: str = "*/*") -> bytes:
    """The content of a page, whatever its status: a process on a busy machine may not be ready for a moment."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Accept": accept})
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return bytes(answer.read())
    except urllib.error.HTTPError as refused:
        with refused:
            return bytes(refused.read())


def named_time(port: int, address: str) -> int | None:
    """When the worker says that the record that waits is decided; None if it was decided before it said so."""
    while not asyncio.run(decided_tenants(address)):
        for waits in json.loads(get(port, "/readyz", "application/json"))["waits"]:
            if waits["records"] is not None and waits["records"]["decided_at"] is not None:
                return parse_moment(waits["records"]["decided_at"])
        time.sleep(0.2)
    return None


async def decided_tenants(address: str) -> dict[str, int]:
    """Each with the time of its decision."""
    topic = "callwarden.enforcement"
    async with AIOKafkaConsumer(topic, bootstrap_servers=address, auto_offset_reset="earliest") as consumer:
        found = await consumer.getmany(timeout_ms=1_000)
    return {record.key.decode(): record.timestamp for records in found.values() for record in records}


def calls_that_end_now(tenant: str) -> list[dict[str, object]]:
    """120 calls of a minute each, ordered by their ends, within the lateness."""
    now = time.time_ns() // 1_000_000
    numbers = {"caller": "+8675500001111", "callee": "+8619900000000"}
    return [
        {
            "type": "cdr", "call_id": f"c{n}", "tenant_id": tenant, "direction": "outbound", **numbers,
            "start_ms": end - 64_000, "answer_ms": end - 60_000, "end_ms": end, "outcome": "answered",
        }
        for n, end in enumerate(range(now - 120, now))
    ]  # fmt: skip


def started_live(jars: Path, folder: Path, ports: dict[str, int], *arguments: str) -> subprocess.Popen[str]:
    environment = os.environ | {
        "PYTHONUNBUFFERED": "1",
        "TMPDIR": str(folder),
        **{f"CALLWARDEN_{name}_PORT": str(port) for name, port in ports.items()},
    }
    return subprocess.Popen(
        [str(Path(sys.executable).parent / "callwarden"), "live", "--tools", str(jars.parent), *arguments],
        env=environment,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def free_live_ports() -> dict[str, int]:
    return dict(
        zip(("WEB", "INGEST", "ASSEMBLE", "BILLING", "LEDGER", "NOTIFY", "CONSOLE"), free_ports(7), strict=True)
    )


def test_an_empty_installation_decides_on_the_first_records_that_are_sent(jars: Path, tmp_path: Path) -> None:
    """An outage grace of four hours would prevent it; `tests/crash/test_first_decision.py` covers the minute."""
    ports = free_live_ports()
    with killed_when_late(started_live(jars, tmp_path, ports, "--no-traffic", "--partitions", "2")) as live:
        assert live.stdout is not None
        assert live.stderr is not None
        seen: list[str] = []
        for line in live.stdout:
            seen.append(line)
            if READY in line:
                break
        assert seen, live.stderr.read()
        address = address_in("".join(seen))
        post(ports["INGEST"], calls_that_end_now("my-tenant"))
        named: list[int | None] = []
        decided_over_http(live, ports["INGEST"], seen, lambda: named.append(named_time(ports["WEB"], address)))
        while list(decided := asyncio.run(decided_tenants(address))) != ["my-tenant"]:
            assert not decided
        assert named[0] is None or named[0] <= decided["my-tenant"], "it was decided before the time that was named"
        records = re.search(rb"^callwarden_records_total (\S+)$", get(ports["WEB"], "/metrics"), re.MULTILINE)
        assert records is not None
        assert float(records[1]) == 121
        assert b"\ncallwarden_late_total 0.0\n" in get(ports["WEB"], "/metrics")
        while "decided" not in (answer := post(ports["INGEST"], calls_that_end_now("another"))):
            time.sleep(0.2)  # until `killed_when_late` ends it: the ingest service reads the ticks every few seconds
        between = answer["decided"]
        assert parse_moment(between["earliest"]) < parse_moment(between["latest"])
        assert between["why"] == "records may come 10s late (lateness)"
        live.send_signal(signal.SIGINT)
        said = "".join(seen) + live.stdout.read()
        assert live.wait(PATIENCE_S) == 0, said + live.stderr.read()


def test_live_runs_everything_shows_decisions_and_leaves_nothing_behind(jars: Path, tmp_path: Path) -> None:
    ports = free_live_ports()
    started = started_live(jars, tmp_path, ports, "--rate", "0.3", "--partitions", "2", "--no-alerts")
    with killed_when_late(started) as callwarden:
        assert callwarden.stdout is not None
        assert callwarden.stderr is not None
        seen: list[str] = []
        # The end of its output would end this wait, too.
        for line in callwarden.stdout:
            seen.append(line)
            printed = "".join(seen)
            if (
                DECISION.search(printed)
                and "real time" in printed
                and READY in printed
                and NOTICE.search(printed)
                and (banned := BANNED.search(printed))
            ):
                break
        assert banned is not None
        decided_over_http(callwarden, ports["INGEST"], seen)
        policy = asyncio.run(policy_of_a_decision(address_in("".join(seen))))
        metrics = {name: get(port, "/metrics") for name, port in ports.items()}
        while json.loads(get(ports["BILLING"], f"/v1/refunds/{banned[1]}")).get("refundable", True):
            time.sleep(0.2)  # until `killed_when_late` ends it: billing may read a ban after the terminal does
        while not STATUS.search("".join(seen)) and (line := callwarden.stdout.readline()):
            seen.append(line)  # the first status may be of a moment before anything was decided
        callwarden.send_signal(signal.SIGINT)
        said = "".join(seen) + callwarden.stdout.read()
        wrong = callwarden.stderr.read()
        assert callwarden.wait(PATIENCE_S) == 0, said + wrong
    assert wrong == ""
    assert policy == loads(POLICY, "policy.yaml").id, "they were made with another lateness"
    assert any(map(DECISION.match, seen)), said
    assert STATUS.search(said), said
    order = ["worker", "traffic", "console", "notify", "ledger", "billing", "assemble", "ingest"]
    assert re.findall(r"stopping (\w+)", said) == order
    assert b"callwarden_records_total" in metrics["WEB"]
    for name in ("BILLING", "LEDGER", "NOTIFY", "CONSOLE"):
        assert f'callwarden_consumer_lag_records{{consumer="{name.lower()}"'.encode() in metrics[name]
    assert list(tmp_path.iterdir()) == []
    left = subprocess.run(["pgrep", "-f", str(tmp_path)], capture_output=True, text=True)
    assert left.stdout == ""
