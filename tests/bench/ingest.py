"""The cost of `callwarden ingest` at a steady rate: `python -m bench.ingest`. Asserts no time.

The ingest process has a core of its own; the broker and the client share the others.
"""

import argparse
import os
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.node import node
from bench.process import MeasuredProcess
from bench.workload import ROOT
from streams.dev import kafka_jars as kafkajars
from streams.dev.kafka_node import free_ports
from streams.runtime.child_process import ChildProcess


@dataclass(frozen=True, slots=True)
class Sizes:
    """Records per second, the duration in seconds, the batch size; with an idempotency key for each
    batch, or without.
    """

    rate: int
    seconds: int
    records: int
    keyed: bool


def ready(port: int) -> bool:
    """Whether the instance accepts records."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def measure(address: str, sizes: Sizes, scratch: Path) -> str:
    """The row of a table."""
    [port] = free_ports(1)
    prefix = f"bench-{'keyed' if sizes.keyed else 'plain'}."
    environment = {
        "CALLWARDEN_BOOTSTRAP_SERVERS": address,
        "CALLWARDEN_INPUT_PREFIX": prefix,
        "CALLWARDEN_OUTPUT_PREFIX": prefix,
        "CALLWARDEN_APPLICATION_ID": prefix.removesuffix("."),
        "CALLWARDEN_REPLICATION_FACTOR": "1",
        "CALLWARDEN_INGEST_AUTH": "none",
    }
    _make_topics(environment, scratch / "topics.log")
    requests = sizes.rate * sizes.seconds // sizes.records
    sending = ["bench.ingest_client", "--port", str(port), "--rate", str(sizes.rate), "--requests", str(requests)]
    sending += ["--records", str(sizes.records), *(["--keyed"] if sizes.keyed else [])]
    serving = ["streams.cli", "ingest", "--port", str(port), "--json-logs"]
    with MeasuredProcess(serving, scratch / "ingest.log", environment) as service:
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) > 1:
            for thread in Path(f"/proc/{service.pid}/task").iterdir():
                os.sched_setaffinity(int(thread.name), cores[:1])
        service.wait_until(lambda: ready(port), "the ingest service takes records")
        before_s = service.cpu_s
        with MeasuredProcess(sending, scratch / "sending.log", {}) as sender:
            if len(cores) > 1:
                os.sched_setaffinity(sender.pid, cores[1:])
            found = sender.await_event("sent")
        cpu_s, peak_mb = service.cpu_s - before_s, service.peak_bytes / 1e6
    sent = requests * sizes.records
    statuses = ", ".join(f"{count:,} x {status}" for status, count in sorted(found["statuses"].items()))
    times = " | ".join(f"{found['ms'][name]:.0f}" for name in ("p50", "p99", "p99.9", "max"))
    keyed = "a key per request" if sizes.keyed else "without keys"
    return (
        f"| {keyed} | {sent / found['wall_s']:,.0f} | {statuses} | {cpu_s / sent * 1e6:.1f} | "
        f"{cpu_s / found['wall_s']:.0%} | {times} | {peak_mb:,.0f} |"
    )


def _make_topics(environment: dict[str, str], log: Path) -> None:
    with log.open("wb") as output:
        command = [sys.executable, "-m", "streams.cli", "topics", "create"]
        status = ChildProcess(command, output, {**os.environ, **environment, "PYTHONPATH": str(ROOT)}).wait(120)
    if status:
        raise RuntimeError(f"topics create ended with {status}: {log.read_text('utf-8')}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.ingest", description=__doc__)
    parser.add_argument("--rate", type=int, default=20_000, help="records/s")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--records", type=int, default=500, help="records a request")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="callwarden-bench-") as scratch, ExitStack() as stack:
        folder = Path(scratch)
        kafkajars.java()
        jars = kafkajars.fetch(ROOT / kafkajars.FOLDER)
        address = stack.enter_context(node(folder / "kafka", jars)).address
        names = ("requests", "records/s", "answers", "CPU us per record", "share of a core")
        print(f"| {' | '.join(names)} | p50, ms | p99 | p99.9 | max | peak MB |")
        print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
        for keyed in (False, True):
            print(measure(address, Sizes(options.rate, options.seconds, options.records, keyed), folder))


if __name__ == "__main__":
    main()
