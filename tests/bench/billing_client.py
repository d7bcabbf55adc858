"""Requests holds from billing at a steady rate, in a separate process: `python -m bench.billing_client`. Prints JSON.

Each request has its scheduled time, from which its latency counts: a late answer also delays the requests behind it.
"""

import argparse
import asyncio
import json
import time
from collections import Counter
from collections.abc import Sequence
from urllib.parse import quote

import numpy as np

CONNECTIONS = 32


class BillingClient:
    """Keep-alive connections, and their results."""

    def __init__(self, port: int, token: str, tenants: int) -> None:
        self._port, self._tenants = port, tenants
        self._head = f"HTTP/1.1\r\nHost: billing\r\nAuthorization: Bearer {token}\r\n\r\n"
        self._due: asyncio.Queue[tuple[int, float] | None] = asyncio.Queue()
        self.seconds: list[float] = []
        self.statuses: Counter[str] = Counter()

    async def send(self, rate: int, for_s: float) -> None:
        """Send requests at that rate, for that long."""
        connections = [asyncio.create_task(self._connection()) for _ in range(CONNECTIONS)]
        await asyncio.sleep(0.5)
        began_s = time.perf_counter()
        for number in range(int(rate * for_s)):
            due_s = began_s + number / rate
            if (wait_s := due_s - time.perf_counter()) > 0:
                await asyncio.sleep(wait_s)
            self._due.put_nowait((number, due_s))
        for _ in connections:
            self._due.put_nowait(None)
        await asyncio.gather(*connections)

    async def _connection(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        while (due := await self._due.get()) is not None:
            number, due_s = due
            tenant = quote(f"tenant/{number * 7919 % self._tenants}", safe="")
            writer.write(f"GET /v1/refunds/{tenant} {self._head}".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            await reader.readexactly(int(length.partition(b":")[2]))
            self.seconds.append(time.perf_counter() - due_s)
            self.statuses[head.split(b" ", 2)[1].decode()] += 1
        writer.close()
        await writer.wait_closed()


def main(arguments: Sequence[str] | None = None) -> None:
    """Send the requests, and print the latencies in ms."""
    parser = argparse.ArgumentParser(prog="python -m bench.billing_client", description=__doc__)
    for name in ("port", "rate", "seconds", "tenants"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--token", required=True)
    options = parser.parse_args(arguments)
    client = BillingClient(options.port, options.token, options.tenants)
    asyncio.run(client.send(options.rate, options.seconds))
    took = np.array(client.seconds) * 1000
    parts = {f"p{share:g}": float(np.percentile(took, share)) for share in (50, 90, 99, 99.9)}
    print(
        json.dumps({"event": "finished", "statuses": client.statuses, "ms": parts | {"max": float(took.max())}}),
        flush=True,
    )


if __name__ == "__main__":
    main()
