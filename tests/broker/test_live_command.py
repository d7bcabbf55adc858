"""All of it in one terminal: a Kafka node of its own, topics, a worker, traffic, decisions."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer
from deadlines import killed_after

from monitor.policy.load import loads
from schemas.outputs import Enforcement
from streams.cli.develop.live import POLICY
from streams.dev.kafka_node import free_ports

pytestmark = pytest.mark.services
README = Path(__file__).parents[2] / "README.md"
ADDRESS = re.compile(r"^Kafka .* runs at (\S+)$", re.MULTILINE)
DECISION = re.compile(
    r"^\d\d-\d\d \d\d:\d\d:\d\d  t\d+  .*(?:警告|终止服务|封号|号码申请驳回).*  \[[\w-]+\]  .+ / .+", re.MULTILINE
)
NOTICE = re.compile(r"^通知 Notice  .+租户 t\d+.* / .+tenant t\d+", re.MULTILINE)
BANNED = re.compile(r"^\d\d-\d\d \d\d:\d\d:\d\d  (t\d+)  严重违规·封号 Severe · Ban  ", re.MULTILINE)


def address_in(said: str) -> str:
    found = ADDRESS.search(said)
    assert found, said
    return found[1]


async def policy_of_a_decision(address: str) -> str:
    topic = "callwarden.enforcement"
    async with AIOKafkaConsumer(topic, bootstrap_servers=address, auto_offset_reset="earliest") as consumer:
        decision = await consumer.getone()
    return msgspec.json.decode(decision.value, type=Enforcement).data.policy.id


def decided_over_http(live: subprocess.Popen[str], port: int, seen: list[str]) -> None:
    """Send what the README sends, and read the decision that it promises; `killed_after` ends the wait."""
    [script] = re.findall(r"^```sh\n(now=.*?)^```$", README.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    sent = subprocess.run(
        ["sh", "-e", "-c", script.replace("6070", str(port))], capture_output=True, text=True, timeout=60
    )
    assert json.loads(sent.stdout) == {"received": 1, "accepted": 1, "refused": 0, "refusals": []}, sent.stderr
    assert live.stdout is not None
    for line in live.stdout:
        seen.append(line)
        if "my-tenant" in line and "终止服务" in line:
            return


def get(port: int, path: str) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
        return bytes(answer.read())


def test_live_runs_all_of_it_shows_decisions_and_leaves_nothing_behind(jars: Path, tmp_path: Path) -> None:
    ports = dict(zip(("WEB", "INGEST", "BILLING", "LEDGER", "NOTIFY"), free_ports(5), strict=True))
    environment = os.environ | {
        "PYTHONUNBUFFERED": "1",
        "TMPDIR": str(tmp_path),
        **{f"CALLWARDEN_{name}_PORT": str(port) for name, port in ports.items()},
    }
    arguments = ["--tools", str(jars.parent), "--rate", "0.3", "--partitions", "2", "--no-alerts"]
    started = subprocess.Popen(
        [str(Path(sys.executable).parent / "callwarden"), "live", *arguments],
        env=environment,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with killed_after(300, started) as callwarden:
        assert callwarden.stdout is not None
        assert callwarden.stderr is not None
        seen: list[str] = []
        # The end of its output would end this, too.
        for line in callwarden.stdout:
            seen.append(line)
            told = "".join(seen)
            if (
                DECISION.search(told)
                and "real time" in told
                and NOTICE.search(told)
                and (banned := BANNED.search(told))
            ):
                break
        decided_over_http(callwarden, ports["INGEST"], seen)
        policy = asyncio.run(policy_of_a_decision(address_in("".join(seen))))
        metrics = {name: get(port, "/metrics") for name, port in ports.items()}
        while json.loads(get(ports["BILLING"], f"/v1/refunds/{banned[1]}"))["refundable"]:
            time.sleep(0.2)  # until `killed_after` ends it: billing may hear of a ban after the terminal does
        callwarden.send_signal(signal.SIGINT)
        said = "".join(seen) + callwarden.stdout.read()
        wrong = callwarden.stderr.read()
        assert callwarden.wait(120) == 0, said + wrong
    assert wrong == ""
    assert policy == loads(POLICY, "policy.yaml").id, "they were made with another lateness"
    assert any(map(DECISION.match, seen)), said
    assert re.findall(r"stopping (\w+)", said) == ["traffic", "notify", "ledger", "billing", "ingest", "worker"]
    assert b"callwarden_records_total" in metrics["WEB"]
    for name in ("BILLING", "LEDGER", "NOTIFY"):
        assert f'callwarden_consumer_lag_records{{consumer="{name.lower()}"'.encode() in metrics[name]
    assert list(tmp_path.iterdir()) == []
    left = subprocess.run(["pgrep", "-f", str(tmp_path)], capture_output=True, text=True)
    assert left.stdout == ""
