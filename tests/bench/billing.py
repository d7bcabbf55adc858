"""The latency of billing's answers at a steady rate while events arrive: `python -m bench.billing`. Asserts no time."""

import argparse
import asyncio
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from bench.node import node
from bench.process import MeasuredProcess
from bench.workload import ROOT
from streams.dev import kafka_jars as kafkajars
from streams.dev.kafka_node import free_ports

TOKEN = "a-token-of-the-bench"
PARTITIONS = 8
TOPIC = "bench.enforcement"


@dataclass(frozen=True, slots=True)
class Sizes:
    """The number of existing events and their tenants; events and requests per second; the duration in seconds."""

    events: int
    tenants: int
    coming: int
    rate: int
    seconds: int


def event(number: int, tenants: int) -> bytes:
    """One event of many: two of three freeze, and every third releases an earlier one."""
    reverses = f"e{number - 2}" if number % 3 == 2 else None
    data = {
        "refunds": "released" if reverses else "frozen", "reverses": reverses, "supersedes": None, "clause": 1,
        "status": "final", "decided_ms": 1_772_000_000_000 + number, "review_by_ms": None,
        "reason": {"zh": "核实的欺诈投诉，封号并冻结退款。", "en": "A verified complaint of fraud: refunds frozen."},
    }  # fmt: skip
    tenant = f"tenant/{number // 3 * 3 % tenants}"
    return msgspec.json.encode({"id": f"e{number}", "subject": tenant, "data": data})


async def fill(address: str, first: int, count: int, tenants: int, a_second: int = 0) -> None:
    """Write events in transactions of a hundred each, as fast as possible or at a given rate."""
    async with AIOKafkaProducer(bootstrap_servers=address, transactional_id="bench-billing") as producer:
        began_s = time.perf_counter()
        for start in range(first, first + count, step := max(1, a_second // 10) if a_second else 100):
            async with producer.transaction():
                for number in range(start, min(start + step, first + count)):
                    await producer.send(TOPIC, event(number, tenants), partition=number // 3 % PARTITIONS)
            if a_second and (wait_s := began_s + (start - first) / a_second - time.perf_counter()) > 0:
                await asyncio.sleep(wait_s)


async def make_topic(address: str) -> None:
    """Recreate the topic."""
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(TOPIC, PARTITIONS, 1)])
    finally:
        await admin.close()


def ready(port: int) -> bool:
    """Whether billing has read the topic to its end."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


async def measure(address: str, database: str, sizes: Sizes, scratch: Path) -> str:
    """Fill the topic, let billing catch up, send requests; return the table of docs/guides/billing.md."""
    await make_topic(address)
    await fill(address, 0, sizes.events, sizes.tenants)
    [port] = free_ports(1)
    environment = {
        "CALLWARDEN_BOOTSTRAP_SERVERS": address,
        "CALLWARDEN_OUTPUT_PREFIX": TOPIC.removesuffix("enforcement"),
        "CALLWARDEN_BILLING_DATABASE": database,
        "CALLWARDEN_BILLING_TOKEN": TOKEN,
    }
    command = ["streams.cli", "billing", "--port", str(port), "--json-logs"]
    sending = ["bench.billing_client", "--port", str(port), "--token", TOKEN, "--tenants", str(sizes.tenants)]
    sending += ["--rate", str(sizes.rate), "--seconds", str(sizes.seconds)]
    with MeasuredProcess(command, scratch / "billing.log", environment) as billing:
        await asyncio.to_thread(billing.wait_until, lambda: ready(port), "billing has caught up")
        caught_up_s = time.monotonic() - billing.began_s
        before_s, began_s = billing.cpu_s, time.monotonic()
        with MeasuredProcess(sending, scratch / "sending.log", {}) as client:
            writing = asyncio.create_task(
                fill(address, sizes.events, sizes.coming * sizes.seconds, sizes.tenants, sizes.coming)
            )
            found = await asyncio.to_thread(client.await_event, "finished")
            cpu = (billing.cpu_s - before_s) / (time.monotonic() - began_s)
            await writing
        peak_mb = billing.peak_bytes / 1e6
    statuses = ", ".join(f"{count:,} x {status}" for status, count in sorted(found["statuses"].items()))
    times = " | ".join(f"{found['ms'][name]:.1f}" for name in ("p50", "p90", "p99", "p99.9", "max"))
    kind = database.partition(":")[0]
    return "\n".join(
        [
            "| database | a second | answers | p50, ms | p90 | p99 | p99.9 | max | CPU | peak MB | caught up, s |",
            "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
            f"| {kind} | {sizes.rate:,} | {statuses} | {times} | {cpu:.0%} | {peak_mb:,.0f} | {caught_up_s:.1f} |",
        ]
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.billing", description=__doc__)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--tenants", type=int, default=10_000)
    parser.add_argument("--coming", type=int, default=50, help="events a second while requests are sent")
    parser.add_argument("--rate", type=int, default=500)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--database", metavar="URL", help="default: a new SQLite database")
    options = parser.parse_args(arguments)
    sizes = Sizes(options.events, options.tenants, options.coming, options.rate, options.seconds)
    with tempfile.TemporaryDirectory(prefix="callwarden-bench-") as scratch, ExitStack() as stack:
        folder = Path(scratch)
        kafkajars.java()
        jars = kafkajars.fetch(ROOT / kafkajars.FOLDER)
        address = stack.enter_context(node(folder / "kafka", jars)).address
        database = options.database or f"sqlite:///{folder / 'billing.db'}"
        print(asyncio.run(measure(address, database, sizes, folder)))


if __name__ == "__main__":
    main()
