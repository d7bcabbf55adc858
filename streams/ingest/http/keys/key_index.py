"""Follows the topic of the idempotency keys, so that every instance knows every key of the past day."""

import asyncio
import re
from collections.abc import Callable

import structlog

from streams.consumers.topic_reader import TopicReader
from streams.ingest.http.keys.key_log import AnsweredKey, HeldKey, KeyLog, decode_key_record
from streams.kafka.api import TP, CorruptLog, FetchedBatch, OffsetOutOfRange, Reader, TransientError
from streams.kafka.topic_names import require_topics
from streams.runtime.monotonic import steady_s

log = structlog.get_logger("callwarden")

_KEY = re.compile(rb"[0-9a-f]{32}")
_POLL_S = 0.25
_MOST = 5_000
_SILENT_S = 10.0
_FIRST_RETRY_S, _LAST_RETRY_S = 0.5, 5.0


class KeyIndex:
    """The keys as of the newest records that were read. `run` reads; the others wait for what it has read."""

    def __init__(self, cluster: TopicReader, topic: str, now_s: Callable[[], float] = steady_s) -> None:
        self.topic = topic
        self._cluster, self._now_s = cluster, now_s
        self._keys = KeyLog()
        self._at: dict[TP, int] = {}
        self._reader: Reader | None = None
        self._moved = asyncio.Event()
        self._loaded = False

    def __len__(self) -> int:
        return len(self._keys)

    def count_of(self, owner: str) -> int:
        """How many of the keys are this owner's."""
        return self._keys.count_of(owner)

    @property
    def loaded(self) -> bool:
        """Whether every key that was written before the start is known."""
        return self._loaded

    @property
    def partitions(self) -> int:
        """The number of partitions that are followed; 0 before the topic is known."""
        return len(self._at)

    def find(self, key: str) -> HeldKey | AnsweredKey | None:
        """What is known about a key."""
        return self._keys.find(key)

    async def read_through(self, partition: int, offset: int) -> None:
        """Wait until the record at ``offset`` and everything before it is known."""
        tp = TP(self.topic, partition)
        while self._at.get(tp, 0) <= offset:
            await self._moved.wait()

    async def read_to_end(self) -> None:
        """Wait until everything is known that was committed when this was called.

        Not up to the last stable offset, which another instance's open transaction holds back: up to the high
        watermark.
        """
        asked_s = self._now_s()
        targets: dict[TP, int] = {}
        while True:
            ends = self._reader.ends() if self._reader is not None else {}
            for tp, each in ends.items():
                if each.asked_s > asked_s:
                    targets.setdefault(tp, each.high_watermark)
            if self._loaded and all(tp in targets and at >= targets[tp] for tp, at in self._at.items()):
                return
            await self._moved.wait()

    async def run(self) -> None:
        """Follow until cancelled; retry while Kafka is away. Raises PermanentError."""
        delay_s = _FIRST_RETRY_S
        while True:
            reader = self._cluster.reader()
            try:
                await self._start(reader)
                self._reader = reader
                heard_s = self._now_s()
                while True:
                    fetched = await reader.poll(_POLL_S, _MOST)
                    for tp, batch in fetched.items():
                        self._apply(tp, batch)
                    if fetched or any(each.asked_s > heard_s for each in reader.ends().values()):
                        heard_s, delay_s = self._now_s(), _FIRST_RETRY_S
                    elif self._now_s() - heard_s > _SILENT_S:
                        raise await reader.why_silent()
                    self._look(reader)
            except OffsetOutOfRange as error:
                log.warning("reading the idempotency keys from their first record", why=str(error))
                self._at = {}
            except CorruptLog as damaged:
                log.error("a record of the idempotency keys is skipped", why=str(damaged))
                self._at[damaged.tp] = damaged.last + 1
            except TransientError as error:
                log.warning("waiting", why=str(error), again_in_s=delay_s)
                await asyncio.sleep(delay_s)
                delay_s = min(2 * delay_s, _LAST_RETRY_S)
            finally:
                self._reader = None
                await reader.stop()

    async def _start(self, reader: Reader) -> None:
        if not self._at:
            counts = await self._cluster.partitions([self.topic])
            require_topics(counts, [self.topic])
            tps = [TP(self.topic, number) for number in range(counts[self.topic])]
            self._at = await self._cluster.starts(tps)
        await reader.start(self._at)

    def _apply(self, tp: TP, batch: FetchedBatch) -> None:
        now_s = self._now_s()
        columns = zip(batch.offsets.tolist(), batch.timestamps_ms.tolist(), batch.keys, batch.values, strict=True)
        for offset, at_ms, key, value in columns:
            record = decode_key_record(value) if value is not None and offset not in batch.unreadable else None
            if record is not None and key is not None and _KEY.fullmatch(key):
                self._keys.apply(key.decode(), record, (tp.partition, offset), at_ms, now_s)
        self._at[tp] = batch.stop

    def _look(self, reader: Reader) -> None:
        """Wake those who wait."""
        ends = reader.ends()
        if not self._loaded and all(tp in ends and at >= ends[tp].high_watermark for tp, at in self._at.items()):
            self._loaded = True
        self._moved.set()
        self._moved = asyncio.Event()
