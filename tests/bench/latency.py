"""A worker's latency: from the calls to the early alert, and from the passing of the watermark to the enforcement
event.
"""

import asyncio
import time
from pathlib import Path
from statistics import quantiles
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from bench.broker_topics import Deployment
from bench.load import PROBE, LoadOptions, LoadResult
from bench.process import TIMEOUT_S, MeasuredProcess
from monitor.policy.load import load

_PANE_S = 300
_AROUND_S = 30
_WAIT_S, _POLL_S = 60.0, 0.1


class NoAnswerError(Exception):
    """Probes that a worker should have answered, and did not."""


async def measure_latency(
    deployment: Deployment, path: str, rate: int, seconds: int, worker: MeasuredProcess, folder: Path
) -> dict[str, Any]:
    """Send ``rate`` calls per second for that long to a worker that has read all earlier records.

    Raises NoAnswerError when a probe is not answered.
    """
    lateness_ms = load(deployment.policy).lateness_ms
    seen: dict[str, dict[str, float]] = {deployment.names.output(name): {} for name in ("alerts", "enforcement")}
    consumer = AIOKafkaConsumer(bootstrap_servers=deployment.address, isolation_level="read_committed")
    options = msgspec.json.encode(LoadOptions(deployment, path, rate, seconds, lateness_ms)).decode()
    async with consumer:
        consumer.assign([TopicPartition(topic, number) for topic in seen for number in range(deployment.partitions)])
        await consumer.seek_to_end()
        watching = asyncio.create_task(_watch(consumer, seen))
        with MeasuredProcess(
            ("bench.load", options), folder / f"{deployment.application}-load.log", {}
        ) as load_process:
            before_s, began_s = worker.cpu_s, time.monotonic()
            event = await asyncio.to_thread(load_process.await_event, "sent", 1, seconds + TIMEOUT_S)
            cpu_s, wall_s = worker.cpu_s - before_s, time.monotonic() - began_s
            sent = msgspec.convert(event, LoadResult)
        alerts, enforcement = seen.values()
        until_s = time.monotonic() + _WAIT_S
        while time.monotonic() < until_s and not (
            alerts.keys() >= sent.alerts.keys() and enforcement.keys() >= sent.complaints.keys()
        ):
            await asyncio.sleep(_POLL_S)
        watching.cancel()
        await asyncio.wait([watching])
    return {
        "rate": rate,
        "calls": sent.calls,
        "took_s": sent.took_s,
        "most_behind": sent.most_behind,
        "cpu_s": cpu_s,
        "wall_s": wall_s,
        "peak_bytes": worker.peak_bytes,
        "alerts": latencies("alert", sent.alerts, alerts, lateness_ms),
        "enforcement": latencies("enforcement", sent.complaints, enforcement, lateness_ms),
    }


async def _watch(consumer: AIOKafkaConsumer, seen: dict[str, dict[str, float]]) -> None:
    """Record the arrival of the first record about each probed tenant on each topic."""
    while True:
        for tp, records in (await consumer.getmany(timeout_ms=1_000)).items():
            now_s = time.time()
            for record in records:
                tenant = (record.key or b"").decode()
                if tenant.startswith(PROBE):
                    seen[tp.topic].setdefault(tenant, now_s)


def latencies(what: str, sent_s: dict[str, float], seen_s: dict[str, float], lateness_ms: int) -> dict[str, Any]:
    """All latencies, and those of probes that were not sent close to the closing of a pane (Unix s, s)."""
    lost = [who for who in sent_s if who not in seen_s]
    if lost or not sent_s:
        raise NoAnswerError(
            f"{len(lost)} of {len(sent_s)} probes were not answered within {_WAIT_S:.0f} s of the last record by an "
            f"{what}: {', '.join(lost[:5])}; expected an answer to each, and some probes"
        )
    found = [(at_s, seen_s[who] - at_s) for who, at_s in sent_s.items()]
    between_closings = [took_s for at_s, took_s in found if (at_s - lateness_ms / 1000) % _PANE_S > _AROUND_S]
    return {
        "probes": len(sent_s),
        "all": _spread([took_s for _, took_s in found]),
        "between_closings": _spread(between_closings),
        "each": found,
    }


def _spread(took_s: list[float]) -> dict[str, float]:
    if len(took_s) < 2:
        return {"count": len(took_s)}
    cuts = quantiles(took_s, n=100, method="inclusive")
    return {"count": len(took_s), "p50": cuts[49], "p99": cuts[98], "max": max(took_s)}
