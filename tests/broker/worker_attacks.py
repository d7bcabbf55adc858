"""A hostile producer: every attack that is known to have stopped or misled workers, at a steady rate,
and its records.
"""

import asyncio
import base64
import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from itertools import chain, count, cycle, islice, product

from aiokafka import AIOKafkaProducer
from rawkafka.batches import ATTRIBUTES_AT, ZSTD, batch, record
from rawkafka.hostile import bombs, large_bomb, unreadable
from rawkafka.produce import RawProducer
from worker_judge import Wrong
from worker_traffic import call_now

from helpers.colliding_numbers import KNOWN_SECRET, endless_colliding_numbers
from streams.kafka.api import TP
from streams.kafka.topic_names import TopicNames

_HOUR_MS = 3_600_000
_CALLS_AT_ONCE = 100
_QUIET = ("findings", "tenants", "reviews")


def _hard_to_compress() -> str:
    """4.4 MB that a thorough compressor reduces below a megabyte; a fast one, with a shorter window, does not."""
    noise = base64.b64encode(random.Random(1).randbytes(700_000)).decode()
    return noise + " " * 2_500_000 + noise


class Attacks:
    """All attacks of one ``tenant`` into its partition ``number``; `wrong` and `valid` list the expected results."""

    def __init__(
        self, raw: RawProducer, producer: AIOKafkaProducer, names: TopicNames, tenant: str, number: int
    ) -> None:
        self._raw, self._producer, self._names = raw, producer, names
        self._tenant, self._number = tenant, number
        self.valid = 0
        self.wrong: list[Wrong] = []
        self.sent: Counter[str] = Counter()
        pad = _hard_to_compress()
        late = json.loads(call_now(tenant, "late").value or b"")
        late |= {"start_ms": late["start_ms"] - _HOUR_MS, "end_ms": late["end_ms"] - _HOUR_MS, "pad": pad}
        self._large = {
            mark: (topic, value, batch([record(tenant.encode(), value)], codec=ZSTD, level=19))
            for mark, topic, value in (
                ("late", "cdr", json.dumps(late).encode()),
                ("truncated_json", "complaints", b'{"type":"complaint","pad":"' + pad.encode()),
            )
        }

    async def run(self, seconds: float) -> None:
        """Run all attacks for that long."""
        larger = bombs() | {"batch_too_large, 256 MB": large_bomb(256 << 20)}
        steps = {
            self._colliding_numbers(): 0.5,
            self._batches("unreadable", unreadable()): 1.0,
            self._batches("bomb", larger): 1.0,
            self._large_records(): 5.0,
            self._pings(): 0.2,
        }
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds

        async def repeat(step: Callable[[], Awaitable[None]], every_s: float) -> None:
            due = loop.time()
            while due < until:
                await step()
                due += every_s
                await asyncio.sleep(max(due - loop.time(), 0))

        async with asyncio.TaskGroup() as group:
            for step, every_s in steps.items():
                group.create_task(repeat(step, every_s))

    def _colliding_numbers(self) -> Callable[[], Awaitable[None]]:
        """Calls to new numbers: one half collide by their mixed keys, the other half by a leaked secret."""
        halves = [endless_colliding_numbers(self._tenant, secret=secret) for secret in (None, KNOWN_SECRET)]
        unused = zip(count(), chain.from_iterable(zip(*halves, strict=True)))

        async def step() -> None:
            some = islice(unused, _CALLS_AT_ONCE)
            calls = [call_now(self._tenant, f"collides-{n}", callee=to, caller=to) for n, to in some]
            topic = self._names.inputs[calls[0].source]
            sent = [await self._producer.send(topic, c.value, key=c.key, partition=c.partition) for c in calls]
            await asyncio.gather(*sent)
            self.valid += len(calls)
            self.sent["colliding number"] += len(calls)

        return step

    def _batches(self, what: str, some: dict[str, bytes]) -> Callable[[], Awaitable[None]]:
        """One of these batches after another, into one topic after another."""
        pairs = cycle(product(self._names.inputs, some.items()))

        async def step() -> None:
            topic, (name, data) = next(pairs)
            mark = name.partition(",")[0]
            last = await self._append(topic, data)
            if mark == "bad_header":  # its neighbours are readable
                self.wrong.append(Wrong((topic, self._number, last), mark, b"k", b"value"))
            else:
                self.wrong.append(Wrong((topic, self._number, last), mark, None, data, whole=True))
            self.sent[what] += 1

        return step

    def _large_records(self) -> Callable[[], Awaitable[None]]:
        """A late call, then a rejected complaint, each too large for a broker after our compression."""
        marks = cycle(self._large)

        async def step() -> None:
            mark = next(marks)
            topic, value, data = self._large[mark]
            last = await self._append(self._names.input_prefix + topic, data)
            place = (self._names.input_prefix + topic, self._number, last)
            self.wrong.append(Wrong(place, mark, self._tenant.encode(), value))
            self.sent["large record"] += 1

        return step

    def _pings(self) -> Callable[[], Awaitable[None]]:
        """Rejected records in topics that are otherwise idle."""

        async def step() -> None:
            for name in _QUIET:
                topic, key = self._names.input_prefix + name, self._tenant.encode()
                at = await self._producer.send_and_wait(topic, b"ping", key=key, partition=self._number)
                self.wrong.append(Wrong((topic, self._number, at.offset), "malformed_json", key, b"ping"))
                self.sent["ping"] += 1

        return step

    async def _append(self, topic: str, data: bytes) -> int:
        """Append the batch at the broker; return the offset of its last record."""
        answer = await self._raw.send(TP(topic, self._number), data)
        assert answer.error == "", answer
        return answer.offset + int.from_bytes(data[ATTRIBUTES_AT + 2 : ATTRIBUTES_AT + 6])
