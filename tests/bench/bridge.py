"""What `callwarden bridge` costs a record: `python -m bench.bridge`. Asserts no time.

It reads a topic that was filled before, to its end. The records that it has written are then read by the ceiling
(`bench.ceiling`: fetch and decode, nothing else). CPU time is compared, which other programs on the machine affect
less than the time that passes.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from bench.node import node
from bench.process import MeasuredProcess
from bench.workload import ROOT
from streams.dev import kafka_jars as kafkajars
from streams.dev.kafka_node import free_ports
from streams.runtime.child_process import ChildProcess

PARTITIONS = 4
SOURCE = "bench-source"
MAPPING = """
format: json
record: cdr
fields:
  call_id: {column: id}
  tenant_id: {column: customer.id}
  direction: {column: direction, table: {out: outbound, in: inbound}}
  caller: {column: from, number: CN}
  callee: {column: to, number: CN}
  start_ms: {column: began, time: epoch_ms}
  answer_ms: {column: answered, time: epoch_ms}
  end_ms: {column: ended, time: epoch_ms}
  outcome: {column: result, table: {ok: answered, busy: busy, none: no_answer}, otherwise: reject}
"""
_DAY_MS = 86_400_000
_START_MS = 1_772_409_600_000


def value_of(number: int, records: int) -> bytes:
    """A call of a day, in order of their times: most callees occur once."""
    began = _START_MS + number * _DAY_MS // records
    answered = number % 3 == 0
    call: dict[str, object] = {
        "id": f"call-{number:09d}",
        "customer": {"id": f"tenant-{number * 7919 % 1_000:04d}", "plan": "business"},
        "direction": "out",
        "from": f"0755{86_000_000 + number % 500:08d}",
        "to": f"138{number * 7_368_787 % 100_000_000:08d}",
        "began": began,
        "ended": began + 30_000,
        "result": "ok" if answered else "none",
        "codec": "PCMA",
        "trunk": "sz-1",
    }
    return json.dumps(call | ({"answered": began + 5_000} if answered else {})).encode()


async def fill(address: str, records: int) -> None:
    """Create and fill the source topic."""
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    await admin.create_topics([NewTopic(SOURCE, PARTITIONS, 1)])
    await admin.close()
    async with AIOKafkaProducer(
        bootstrap_servers=address, compression_type="lz4", max_batch_size=500_000, linger_ms=50
    ) as producer:
        for number in range(records):
            sent = await producer.send(SOURCE, value_of(number, records), partition=number % PARTITIONS)
        await producer.flush()
        await sent


def shown(port: int, name: str) -> float:
    """The sum of a metric of a process, read at most twice a second; -1 if it does not answer."""
    time.sleep(0.5)  # a page of metrics costs as much as hundreds of records
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
    except (urllib.error.URLError, OSError):
        return -1
    found = [float(line.rpartition(" ")[2]) for line in lines if line.startswith(name)]
    return sum(found) if found else -1


def measure(address: str, records: int, scratch: Path) -> list[tuple[str, float, float, float]]:
    """For the bridge and the ceiling: CPU microseconds a record, records a second, peak memory in MB."""
    [bridge_port] = free_ports(1)
    environment = {
        "CALLWARDEN_BOOTSTRAP_SERVERS": address,
        "CALLWARDEN_REPLICATION_FACTOR": "1",
        "CALLWARDEN_BRIDGE_PORT": str(bridge_port),
    }
    _make_topics(environment, scratch / "topics.log")
    mapping = scratch / "bench.yaml"
    mapping.write_text(MAPPING, "utf-8")
    asyncio.run(fill(address, records))
    rows = []
    bridging = ["streams.cli", "bridge", "--json-logs", "--source-topic", SOURCE, "--format", str(mapping)]
    with MeasuredProcess(bridging, scratch / "bridge.log", environment) as one:
        one.await_event("partition opened", PARTITIONS)
        rows.append(("bridge", *_until(one, records, lambda: shown(bridge_port, "callwarden_bridge_rows_total"))))
    other = environment | {"CALLWARDEN_APPLICATION_ID": "ceiling"}
    with MeasuredProcess(["bench.ceiling"], scratch / "ceiling.log", other) as one:
        one.await_event("ready")
        rows.append(("ceiling", *_until(one, records, lambda: records if one.events("done") else 0)))
    return rows


def _until(one: MeasuredProcess, records: int, done: Callable[[], float]) -> tuple[float, float, float]:
    began_s, wall_s = one.cpu_s, time.monotonic()
    one.wait_until(lambda: done() >= records, "all records are read")
    passed_s = time.monotonic() - wall_s
    return (one.cpu_s - began_s) / records * 1e6, records / passed_s, one.peak_bytes / 1e6


def _make_topics(environment: dict[str, str], log: Path) -> None:
    with log.open("wb") as output:
        command = [sys.executable, "-m", "streams.cli", "topics", "create"]
        status = ChildProcess(command, output, {**os.environ, **environment, "PYTHONPATH": str(ROOT)}).wait(120)
    if status:
        raise RuntimeError(f"topics create ended with {status}: {log.read_text('utf-8')}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.bridge", description=__doc__)
    parser.add_argument("--records", type=int, default=400_000)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="callwarden-bench-") as scratch, ExitStack() as stack:
        folder = Path(scratch)
        kafkajars.java()
        jars = kafkajars.fetch(ROOT / kafkajars.FOLDER)
        address = stack.enter_context(node(folder / "kafka", jars)).address
        rows = measure(address, options.records, folder)
        bridge_us = rows[0][1]
        print(f"load average of the last minute: {os.getloadavg()[0]:.1f}")
        print("| | CPU a record, us | relative to the bridge | records a second | peak MB |")
        print("| --- | --- | --- | --- | --- |")
        for name, cpu_us, rate, peak_mb in rows:
            print(f"| {name} | {cpu_us:.2f} | {cpu_us / bridge_us:.2f} | {rate:,.0f} | {peak_mb:,.0f} |")


if __name__ == "__main__":
    main()
