"""A steady load of calls with probes: the send times of the records after which a decision must or could follow.

Run with the fields of `LoadOptions` as JSON; its last output line is `LoadResult`.
"""

import asyncio
import itertools
import json
import sys
import time
from bisect import bisect_right
from collections import defaultdict

import msgspec
from aiokafka import AIOKafkaProducer

from bench.broker_topics import BATCH_BYTES, Deployment, Sender, call, complaint, last_records, one_a_partition
from bench.calls import templates
from monitor.decoding.input_topics import INPUTS
from monitor.simulate.arrivals import CALLS

PROBE = "probe-"
_TEMPLATES, _TIMES = 200_000, 1_000  # calls, and the most times that each is sent, with another id each time
_TICK_S = 0.02
_PULSE_S = 1.0  # other records arrive, and let the watermark advance
_ALERT_S, _COMPLAINT_S = 0.5, 0.25
_COMPLAINTS = INPUTS.index("complaints")
# Five calls to each of two callees who do not answer: `callees-redialled` of the built-in policy.
_CALLEES, _EACH = ("probed-1", "probed-2"), 5


class LoadOptions(msgspec.Struct):
    """The records to send, the topics, and the duration; the last ``lateness_ms`` and a little more bring no new
    probes.
    """

    deployment: Deployment
    path: str
    rate: int
    seconds: int
    lateness_ms: int


class LoadResult(msgspec.Struct):
    """Times in Unix seconds. ``alerts``: for each tenant, when the calls that cross a threshold were sent.

    ``complaints``: for each tenant, when the last record was sent that lets the watermark pass its complaint.
    """

    began_s: float
    took_s: float
    calls: int
    most_behind: int
    alerts: dict[str, float]
    complaints: dict[str, float]


class Clocks:
    """The send times of event times, by source and partition."""

    def __init__(self) -> None:
        self._sent: defaultdict[tuple[int, int], tuple[list[int], list[float]]] = defaultdict(lambda: ([], []))

    def note(self, source: int, partition: int, event_ms: int, sent_s: float) -> None:
        """Advance the clock of the source to ``event_ms``."""
        events, sent = self._sent[source, partition]
        events.append(event_ms)
        sent.append(sent_s)

    def passed_s(self, partition: int, event_ms: int) -> float | None:
        """When the last of the sources passed ``event_ms``; None if one never did."""
        latest = 0.0
        for source in range(len(INPUTS)):
            events, sent = self._sent[source, partition]
            place = bisect_right(events, event_ms)
            if place == len(events):
                return None
            latest = max(latest, sent[place])
        return latest


async def steady(options: LoadOptions) -> LoadResult:
    """Send until the time is over."""
    prepared = templates(options.path, _TEMPLATES)
    lines = zip(itertools.count(), itertools.cycle(prepared))
    pulses = one_a_partition(options.deployment.partitions)
    clocks, alerts, verified = Clocks(), dict[str, float](), dict[str, tuple[int, int]]()
    most_behind = calls = 0
    last_probe_s = options.seconds - options.lateness_ms / 1000 - 2 * _PULSE_S
    due_s = dict.fromkeys(("alert", "complaint", "pulse"), 0.0)
    async with AIOKafkaProducer(bootstrap_servers=options.deployment.address, max_batch_size=BATCH_BYTES) as producer:
        sender = Sender(producer, options.deployment)
        began_s = time.time()
        run = int(began_s)  # a later load on the same topics has other tenants and other calls
        while (elapsed_s := time.time() - began_s) < options.seconds:
            now_s = began_s + elapsed_s
            now_ms = int(now_s * 1000)
            due = int(elapsed_s * options.rate) - calls
            most_behind = max(most_behind, due)
            for number, line in itertools.islice(lines, due):
                await sender.add(CALLS, line.tenant, line.at(run * _TIMES + number // len(prepared), now_ms))
            calls += due
            if due_s["pulse"] <= elapsed_s:
                due_s["pulse"] += _PULSE_S
                for partition, tenant in enumerate(pulses):
                    for source, value in enumerate(last_records(tenant, f"p{now_ms}", now_ms)):
                        await sender.add(source, tenant.encode(), value)
                        clocks.note(source, partition, now_ms, now_s)
            if due_s["alert"] <= elapsed_s < last_probe_s:
                due_s["alert"] += _ALERT_S
                tenant = f"{PROBE}{run}-a{len(alerts)}"
                alerts[tenant] = now_s
                for place, callee in enumerate(_CALLEES * _EACH):
                    value = call(tenant, f"a{place}", now_ms, callee=callee, outcome="rejected")
                    await sender.add(CALLS, tenant.encode(), value)
            if due_s["complaint"] <= elapsed_s < last_probe_s:
                due_s["complaint"] += _COMPLAINT_S
                tenant = f"{PROBE}{run}-c{len(verified)}"
                verified[tenant] = sender.home(tenant.encode()), now_ms
                value = complaint(tenant, "c", now_ms, "harassment", "verified")
                await sender.add(_COMPLAINTS, tenant.encode(), value)
                clocks.note(_COMPLAINTS, verified[tenant][0], now_ms, now_s)
            await sender.send()
            await asyncio.sleep(max(_TICK_S - (time.time() - now_s), 0))
        await sender.flush()
        took_s = time.time() - began_s
    passed = {who: clocks.passed_s(at, ms + options.lateness_ms) for who, (at, ms) in verified.items()}
    complaints = {who: at_s for who, at_s in passed.items() if at_s is not None}
    return LoadResult(began_s, took_s, calls, most_behind, alerts, complaints)


if __name__ == "__main__":
    sent = asyncio.run(steady(msgspec.json.decode(sys.argv[1], type=LoadOptions)))
    print(json.dumps({"event": "sent", **msgspec.to_builtins(sent)}), flush=True)
