"""All of it in one terminal: a Kafka node of its own, topics, a worker, traffic, decisions."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer
from deadlines import killed_after

from monitor.cli.live import POLICY
from monitor.policy.load import loads
from schemas.outputs import Enforcement
from streams.devkafka import free_ports

pytestmark = pytest.mark.services
ADDRESS = re.compile(r"^Kafka .* serves at (\S+)$", re.MULTILINE)
DECISION = re.compile(r"^\d\d-\d\d \d\d:\d\d:\d\d  t\d+  .*(?:警告|终止服务|封号|号码申请驳回).*  \[[\w-]+\]  .+ / .+")


def address_in(said: str) -> str:
    found = ADDRESS.search(said)
    assert found, said
    return found[1]


async def policy_of_a_decision(address: str) -> str:
    topic = "callwarden.enforcement"
    async with AIOKafkaConsumer(topic, bootstrap_servers=address, auto_offset_reset="earliest") as consumer:
        decision = await consumer.getone()
    return msgspec.json.decode(decision.value, type=Enforcement).data.policy.id


def test_live_shows_decisions_and_leaves_nothing_behind(jars: Path, tmp_path: Path) -> None:
    environment = os.environ | {
        "PYTHONUNBUFFERED": "1",
        "CALLWARDEN_WEB_PORT": str(free_ports(1)[0]),
        "TMPDIR": str(tmp_path),
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
            if DECISION.match(line) and any("real time" in line for line in seen):
                break
        policy = asyncio.run(policy_of_a_decision(address_in("".join(seen))))
        callwarden.send_signal(signal.SIGINT)
        said = "".join(seen) + callwarden.stdout.read()
        wrong = callwarden.stderr.read()
        assert callwarden.wait(120) == 0, said + wrong
    assert wrong == ""
    assert policy == loads(POLICY, "policy.yaml").id, "they were made with another lateness"
    assert any(map(DECISION.match, seen)), said
    assert re.findall(r"stopping the (\w+)", said) == ["traffic", "worker"]
    assert list(tmp_path.iterdir()) == []
    left = subprocess.run(["pgrep", "-f", str(tmp_path)], capture_output=True, text=True)
    assert left.stdout == ""
