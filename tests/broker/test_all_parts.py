"""All services together, with the commands, environment and health checks of docker-compose.yml, on a real Kafka.

Also checks what no service may reveal: a telephone number in every input field that could hold one, and a complainant.
Ids are shown whole.
"""

import asyncio
import json
import os
import random
import re
import string
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from deadlines import killed_when_late
from ingest_instances import written
from ruamel.yaml import YAML
from worker_processes import MAIN, wait_for

from alerting.programs import alertmanager
from helpers.patience import PATIENCE_S, WAIT
from streams.dev.kafka_node import free_ports
from streams.runtime.child_process import ChildProcess

pytestmark = pytest.mark.services

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = YAML(typ="safe").load(ROOT / "docker-compose.yml")
SERVING = {
    "worker": "WEB", "ingest": "INGEST", "assemble": "ASSEMBLE", "billing": "BILLING", "ledger": "LEDGER",
    "notify": "NOTIFY", "console": "CONSOLE",
}  # fmt: skip
NUMBER = "13912345678"
COMPLAINANT = "canary-complainant-7391"
# Ids of other systems with as many digits as a number: an SdkAppId, a uniqueid of Asterisk, a UUID, a SID of Twilio.
TENANT = "1400000000"
COMPLAINT = "q11400000001"
FINDING = "1700000000.123"
APPLICATION = "6f1ce0a4-7b5b-4d0e-9a44-128934567801"
CALL = "CA12345678901234567890123456789012"
SECRETS = (NUMBER, NUMBER[2:], "139 1234 5678", COMPLAINANT)
TOKEN = "for-trying-it-out-only"


class Parts:
    """The services of docker-compose.yml, run by this interpreter."""

    def __init__(self, folder: Path, address: str, alertmanager: str) -> None:
        self.folder = folder
        self.ports = dict(zip(SERVING, free_ports(len(SERVING)), strict=True))
        self._children: dict[str, ChildProcess] = {}
        self._there = {"kafka:19092": address, "alertmanager:9093": alertmanager, "/var/lib/callwarden": str(folder)}
        # Letters alone: a run of digits in the name of a topic would be masked like a number.
        name = "all-" + "".join(random.choices(string.ascii_lowercase, k=12))
        self.prefix = f"{name}."
        self._more = {
            "CALLWARDEN_APPLICATION_ID": name,
            "CALLWARDEN_INPUT_PREFIX": self.prefix,
            "CALLWARDEN_OUTPUT_PREFIX": self.prefix,
            # Shorter waits for silent sources and for calls that do not come.
            "CALLWARDEN_IDLE_AFTER": "1s",
            "CALLWARDEN_OUTAGE_GRACE": "1s",
            "CALLWARDEN_NOTIFY_DELAY": "0s",
            **{f"CALLWARDEN_{prefix}_PORT": str(self.ports[service]) for service, prefix in SERVING.items()},
        }

    def environment(self, service: str) -> dict[str, str]:
        """The environment of the service in its container, with addresses and paths of this test."""
        described = COMPOSE["services"][service]
        mounts = dict(mount.split(":")[1::-1] for mount in described.get("volumes", ()))
        seen = {}
        for variable, value in described["environment"].items():
            value = re.sub(r"^\$\{\w+:-(.*)\}$", r"\1", value)
            value = str(ROOT / mounts[value]) if value in mounts else value
            for inside, here in self._there.items():
                value = value.replace(inside, here)
            seen[variable] = value.replace(f"{self.folder}-heads", str(self.folder))
        return {**os.environ, **seen, **self._more}

    def run(self, service: str, *command: str, status: int = 0) -> str:
        """The output of a command run with the environment of that service."""
        called = subprocess.Popen(
            [sys.executable, "-c", MAIN, *command],
            env=self.environment(service),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        with killed_when_late(called) as process:
            assert process.stdout is not None
            said = process.stdout.read()
        assert called.returncode == status, said
        return said

    def start(self, service: str) -> None:
        """Start it as compose does."""
        with self.log(service).open("wb") as output:
            command = [sys.executable, "-c", MAIN, *COMPOSE["services"][service]["command"]]
            self._children[service] = ChildProcess(command, output, self.environment(service))

    def log(self, service: str) -> Path:
        """Its log."""
        return self.folder / f"{service}.log"

    def healthy(self, service: str) -> bool:
        """The output of its health check. Raises AssertionError when the service has ended."""
        assert self._children[service].running, self.log(service).read_text("utf-8")
        _, program, *arguments = COMPOSE["services"][service]["healthcheck"]["test"]
        assert program == "python"
        arguments[-1] = re.sub(r":60\d\d/", f":{self.ports[service]}/", arguments[-1])
        return subprocess.run([sys.executable, *arguments], capture_output=True, check=False).returncode == 0

    def page(self, service: str, path: str) -> str:
        """One of its pages, whatever its status."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.ports[service]}{path}", headers={"Authorization": f"Bearer {TOKEN}"}
        )
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                return error.read().decode()

    def stop(self) -> dict[str, int]:
        """Send TERM to all; return their exit statuses."""
        children, self._children = self._children, {}
        return {service: child.stop(PATIENCE_S) for service, child in children.items()}


@contextmanager
def started(folder: Path, address: str) -> Iterator[Parts]:
    config = ROOT / "deploy" / "alertmanager" / "alertmanager.yml"
    with alertmanager(config, folder) as receiver:
        parts = Parts(folder, address, receiver)
        parts.alerts = f"http://{receiver}/api/v2/alerts"  # type: ignore[attr-defined]
        try:
            print(parts.run("topics", *COMPOSE["services"]["topics"]["command"]))
            for service in SERVING:
                parts.start(service)
            yield parts
        finally:
            parts.stop()


def records(now_ms: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """A record of each kind, with the number and the complainant in every possible field."""
    tenant = {"tenant_id": TENANT}
    words = f"call {NUMBER} 或 139 1234 5678"
    yield "tenants", {
        "type": "tenant", **tenant, "name": f"Acme {NUMBER}", "declared_businesses": [words], "numbers": [NUMBER],
        "updated_ms": now_ms - 60_000,
    }  # fmt: skip
    yield "tenants", {
        "type": "application", **tenant, "application_id": APPLICATION,
        "declared_business": f"刷单 {NUMBER} {APPLICATION}", "scenario": words, "updated_ms": now_ms - 50_000,
    }  # fmt: skip
    for status, at_ms in (("received", now_ms - 40_000), ("verified", now_ms - 30_000)):
        yield "complaints", {
            "type": "complaint", **tenant, "complaint_id": COMPLAINT, "category": "fraud", "status": status,
            "channel": f"{COMPLAINT}, {words}", "complainant": COMPLAINANT, "caller": NUMBER,
            "reported_ms": now_ms - 50_000, "updated_ms": at_ms,
        }  # fmt: skip
    yield "findings", {
        "type": "finding", **tenant, "finding_id": FINDING, "behaviour": "undeclared_business", "status": "confirmed",
        "declared_business": words, "actual_business": f"信用卡 {NUMBER}", "inspector": words,
        "updated_ms": now_ms - 20_000,
    }  # fmt: skip
    for n in range(60):
        at_ms = now_ms - 100_000 + n * 1_000
        yield "cdr", {
            "type": "cdr", "tenant_id": "other", "call_id": f"{CALL[:-2]}{n:02}", "direction": "outbound",
            "caller": f"+86{NUMBER}", "callee": f"+86{NUMBER}",
            "start_ms": at_ms, "answer_ms": at_ms + 1_000, "end_ms": at_ms + 2_000,
            "outcome": "answered", "source": words,
        }  # fmt: skip
    yield "cdr", {"type": "cdr", "tenant_id": "other", "call_id": CALL, "caller": NUMBER, "callee": NUMBER}
    yield "complaints", {"type": "complaint", **tenant, "complaint_id": NUMBER, "status": NUMBER}


async def send(address: str, prefix: str, some: list[tuple[str, dict[str, Any]]]) -> None:
    async with AIOKafkaProducer(bootstrap_servers=address) as producer:
        for topic, record in some:
            value = json.dumps(record, ensure_ascii=False).encode()
            await producer.send_and_wait(prefix + topic, value, key=record["tenant_id"].encode())


def test_all_services_of_the_compose_file_work_together_and_none_reveals_a_number(address: str, tmp_path: Path) -> None:
    with started(tmp_path, address) as parts:
        for service in SERVING:
            wait_for(partial(parts.healthy, service), f"{service} is healthy")
        asyncio.run(send(address, parts.prefix, list(records(time.time_ns() // 1_000_000))))

        def answer() -> dict[str, Any]:
            printed: dict[str, Any] = json.loads(parts.page("billing", f"/v1/refunds/{TENANT}"))
            return printed

        wait_for(lambda: len(answer().get("holds") or ()) >= 2, "a complaint and a finding freeze refunds")
        held = sorted(answer()["holds"], key=lambda hold: hold["clause"])
        assert [hold["clause"] for hold in held] == [1, 3]
        # A reviewer overturns one of them, with a reason that no page may show.
        reason = f"ask {NUMBER}, he is wrong about {COMPLAINT}"
        reviewed = parts.run("ledger", "reviews", "overturn", held[0]["id"], "--reason", reason, "--wait", WAIT)
        wait_for(lambda: [hold["clause"] for hold in answer().get("holds") or ()] == [3], "the other one is left")
        wait_for(lambda: "reversal" in parts.run("ledger", "ledger", "show", TENANT).lower(), "the ledger knows")

        def alerts() -> str:
            with urllib.request.urlopen(parts.alerts, timeout=PATIENCE_S) as printed:  # type: ignore[attr-defined]
                return str(printed.read().decode())

        wait_for(lambda: "reversal" in alerts() and '"ban"' in alerts(), "Alertmanager hears of ban and reversal")
        pages = {
            f"{service}{path}": parts.page(service, path)
            for service in SERVING
            for path in ("/metrics", "/readyz", "/healthz")
        }
        pages["what billing answers"] = json.dumps(answer(), ensure_ascii=False)
        pages["what Alertmanager heard"] = alerts()
        pages["reviews overturn"] = reviewed
        for command in (
            ("ledger", "show", TENANT),
            ("ledger", "export"),
            ("ledger", "verify", "--with-topics"),
            ("reviews", "list", "--status", "all"),
            ("reviews", "list", "--status", "all", "--json"),
            ("reviews", "show", held[0]["id"]),
        ):
            pages[" ".join(command)] = parts.run("ledger", *command)
        ended = ("--reason", f"ask {NUMBER}, he is wrong", "--by", f"wang {NUMBER}", "--wait", WAIT)
        parts.run("worker", "end-outage", *ended)
        for topic in [parts.prefix + name for name in ("enforcement", "alerts", "shadow", "control", "clock")]:
            pages[topic] = b"\n".join(asyncio.run(written({"bootstrap_servers": address}, topic))).decode()
        pages["dead letters"] = parts.run("worker", "dead-letter", "list")
        for at_worker in (
            ("policy", "status"),
            ("policy", "preflight", "--from-topics"),
            ("audit",),
            ("audit", "--json"),
            ("compare", parts.prefix, parts.prefix),
            ("state", "export", "--out", str(tmp_path / "state.zst")),
            ("state", "show", str(tmp_path / "state.zst")),
        ):
            pages[" ".join(at_worker)] = parts.run("worker", *at_worker)
        statuses = parts.stop()
        parts.run("worker", "replay", "--from-topics", "--out", str(tmp_path / "judged"), "--quiet")
        parts.run("worker", "report", str(tmp_path / "judged"))
        pages["report"] = (tmp_path / "judged" / "report.html").read_text("utf-8")
        for log in tmp_path.glob("*.log"):
            pages[log.name] = log.read_text("utf-8")
        published = (tmp_path / "heads.jsonl").read_text("utf-8")

    assert statuses == dict.fromkeys(SERVING, 0)
    assert json.loads(published.splitlines()[0])["day"], "the heads of the first day are published when it begins"
    for name, ids in {
        f"ledger show {TENANT}": (TENANT, COMPLAINT),
        "ledger export": (TENANT, COMPLAINT, FINDING, APPLICATION),
        "reviews list --status all": (TENANT, COMPLAINT, FINDING, APPLICATION),
        "reviews list --status all --json": (TENANT, COMPLAINT, FINDING, APPLICATION),
        f"reviews show {held[0]['id']}": (TENANT, COMPLAINT),
        "reviews overturn": (COMPLAINT,),
        "what Alertmanager heard": (TENANT, COMPLAINT, FINDING, APPLICATION),
        "what billing answers": (FINDING,),
        f"{parts.prefix}enforcement": (TENANT, COMPLAINT, FINDING, APPLICATION),
        "dead letters": (CALL,),
        "report": (TENANT, COMPLAINT, FINDING, APPLICATION),
    }.items():
        for one in ids:
            assert one in pages[name], f"{name} does not show {one}"
    assert "is wrong" in pages[f"{parts.prefix}control"]
    assert "is wrong" in pages[f"{parts.prefix}clock"]
    for name, text in pages.items():
        for secret in SECRETS:
            assert secret not in urllib.parse.unquote(text), f"{secret} stands in {name}"
        for masked in re.findall(r"•[•. _-]*\d*", text):
            assert masked.endswith(("•", NUMBER[-2:])), f"{name} masks what is no number: {masked}"
    for service in ("billing", "ledger", "notify", "console"):
        held_there = b"".join(path.read_bytes() for path in sorted(tmp_path.glob(f"{service}.db*")))
        assert held_there
        # The console keeps the complaints that decisions name, and a complainant is a pseudonym (contract, section 9).
        for secret in SECRETS if service != "console" else set(SECRETS) - {COMPLAINANT}:
            assert secret.encode() not in held_there, f"{secret} stands in the database of {service}"
