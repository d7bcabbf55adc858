"""Sends batches of calls to `callwarden ingest` at a steady rate, in a separate process: `python -m
bench.ingest_client`.

Each batch has its scheduled time, from which its latency counts: a late answer also delays the batches behind it. A
batch that is not accepted is sent again with its key, to the next instance, as a client that must lose nothing does.
"""

import argparse
import asyncio
import json
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress

import numpy as np

CONNECTIONS = 16
TENANTS = 1_000
_WAIT_S = 120.0
_AGAIN_S = 0.25

_CALL = (
    '{"type":"cdr","call_id":"%d-%d","tenant_id":"tenant-%d","direction":"outbound","caller":"+861058000001",'
    '"callee":"+8613800000000","start_ms":1772438400000,"end_ms":1772438430000,"outcome":"no_answer"}'
)


def batch(request: int, records: int) -> bytes:
    """The body of a request: calls with the ids ``request-number``, one a line."""
    first = request * records
    return "\n".join(_CALL % (request, number, (first + number) % TENANTS) for number in range(records)).encode()


class Sender:
    """Keep-alive connections to one or several instances, and their results."""

    def __init__(self, ports: Sequence[int], records: int, keyed: bool) -> None:
        self._ports, self._records, self._keyed = list(ports), records, keyed
        self._due: asyncio.Queue[tuple[int, float] | None] = asyncio.Queue()
        self.seconds: list[float] = []
        self.statuses: Counter[str] = Counter()
        self.accepted: dict[int, bytes] = {}
        """The answer to each request that was accepted."""

    async def send(self, rate: float, requests: int) -> None:
        """Send that many requests at that rate."""
        connections = [asyncio.create_task(self._connection(number)) for number in range(CONNECTIONS)]
        began_s = time.perf_counter()
        for number in range(requests):
            due_s = began_s + number / rate
            if (wait_s := due_s - time.perf_counter()) > 0:
                await asyncio.sleep(wait_s)
            self._due.put_nowait((number, due_s))
        for _ in connections:
            self._due.put_nowait(None)
        await asyncio.gather(*connections)

    async def _connection(self, number: int) -> None:
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        while (due := await self._due.get()) is not None:
            request, due_s = due
            body = batch(request, self._records)
            key = f"Idempotency-Key: request-{request}\r\n" if self._keyed else ""
            head = (
                "POST /v1/records HTTP/1.1\r\nHost: ingest\r\nContent-Type: application/x-ndjson\r\n"
                f"{key}Content-Length: {len(body)}\r\n\r\n"
            ).encode()
            while True:
                status, answer = "none", b""
                with suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
                    async with asyncio.timeout(_WAIT_S):
                        if streams is None:
                            streams = await asyncio.open_connection("127.0.0.1", self._ports[number % len(self._ports)])
                        streams[1].write(head + body)
                        status, answer = await _answer(streams[0])
                self.statuses[status] += 1
                if status == "202":
                    break
                if status not in ("none", "409", "503"):
                    raise RuntimeError(f"the ingest service answered {status}: {answer[:500]!r}")
                if streams is not None:
                    streams[1].close()
                streams, number = None, number + 1
                await asyncio.sleep(_AGAIN_S)
            self.seconds.append(time.perf_counter() - due_s)
            self.accepted[request] = answer
        if streams is not None:
            streams[1].close()


async def _answer(reader: asyncio.StreamReader) -> tuple[str, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    return head.split(b" ", 2)[1].decode(), await reader.readexactly(int(length.partition(b":")[2]))


def main(arguments: Sequence[str] | None = None) -> None:
    """Send the batches, and print the latencies in ms."""
    parser = argparse.ArgumentParser(prog="python -m bench.ingest_client", description=__doc__)
    for name in ("port", "rate", "requests", "records"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--keyed", action="store_true")
    options = parser.parse_args(arguments)
    sender = Sender([options.port], options.records, options.keyed)
    began_s = time.perf_counter()
    asyncio.run(sender.send(options.rate / options.records, options.requests))
    wall_s = time.perf_counter() - began_s
    took = np.array(sender.seconds) * 1000
    parts = {f"p{share:g}": float(np.percentile(took, share)) for share in (50, 90, 99, 99.9)}
    found = {"event": "sent", "statuses": sender.statuses, "ms": parts | {"max": float(took.max())}, "wall_s": wall_s}
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
