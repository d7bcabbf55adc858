"""Reads a source and writes what it reads, each row once, wherever the process is killed.

The steps:

1. Start the writer. It fences an earlier process of the same name and ends its transaction, so that the positions do
   not change any more.
2. Read the positions to the end of the topic. Write a claim, by which a fenced process knows that it was replaced. If
   the topic has lost the claim of this process, it has lost its positions: write them again, too.
3. Continue to read the source behind the positions.
4. One transaction: the rows, the dead letters, and the positions behind them.
5. If it fails, or its outcome is unknown: stop the writer and continue with step 1. The positions say what was written.
   A process that is fenced after its claim reads the claim first: if it is that of another process, it ends.
"""

import asyncio
import socket
import uuid
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol

import structlog

from streams.consumers.topic_reader import TopicReader
from streams.ingest.follow.follow_source import FollowSource, SourceBatch
from streams.ingest.follow.position_log import PositionLog, StoredPositions
from streams.ingest.follow.positions import CLAIM, FollowClaim, Position
from streams.ingest.placement import TopicPlacement
from streams.kafka.api import Fenced, PermanentError, TransientError, Writer
from streams.runtime.retry import Backoff

log = structlog.get_logger("callwarden")

TRANSACTION_S: Final = 15.0
"""The broker aborts a transaction after that time. Until then readers of the topics wait for a killed process."""

POLL_S: Final = 0.5
_LONGEST_RETRY_S: Final = 5.0
_REFRESH_S: Final = 30.0
_DRAIN_S: Final = 8.0


class FollowCluster(TopicReader, Protocol):
    """A cluster as a follower uses it; `streams.kafka.cluster.KafkaCluster` implements it."""

    def writer(self, transactional_id: str, transaction_s: float | None = None) -> Writer:
        """See `streams.kafka.api.Cluster`."""
        ...


class SourceFollower:
    """See the module. ``transactional_id`` must be that of no other name."""

    def __init__(
        self,
        cluster: FollowCluster,
        placement: TopicPlacement,
        positions: PositionLog,
        source: FollowSource,
        transactional_id: str,
        wrote: Callable[[SourceBatch], None],
    ) -> None:
        self._cluster, self._placement, self._positions, self._source = cluster, placement, positions, source
        self._id, self._wrote = transactional_id, wrote
        self._instance = uuid.uuid4().hex
        self._refreshed_s = 0.0
        self._claimed = False
        self._written: dict[str, Position] = {}  # the positions of all transactions that were committed
        self.away: str | None = "has not reached Kafka yet"
        """Why nothing can be written; None if it can."""

    async def run(self) -> None:
        """Follow until cancelled; retry while Kafka is away. Raises PermanentError."""
        backoff = Backoff(longest_s=_LONGEST_RETRY_S)
        while True:
            writer: Writer | None = None
            try:
                await self._refresh()
                writer = self._cluster.writer(self._id, TRANSACTION_S)
                await writer.start()  # 1
                await self._begin(writer)
                backoff.reset()
                while True:
                    await _finished(self._step(writer))
            except Fenced:  # 5
                self.away = "another process of this name may have started"
                if self._claimed:
                    await self._must_be_newest()
                delay_s = backoff.next_s()
                log.warning("a transaction was ended by Kafka; reading the positions again", again_in_s=delay_s)
                await asyncio.sleep(delay_s)
            except TransientError as error:
                self.away, delay_s = str(error), backoff.next_s()
                log.warning("waiting", why=str(error), again_in_s=delay_s)
                await asyncio.sleep(delay_s)
            finally:
                if writer is not None:
                    await writer.stop()

    async def _begin(self, writer: Writer) -> None:
        if self._claimed:
            await self._positions.must_be_there()  # a first start refuses instead: it knows of no position
        stored = await self._positions.read()  # 2
        claim = FollowClaim(self._instance, socket.gethostname())
        lost = self._claimed and stored.claim is None
        if lost:
            stored = StoredPositions(None, self._written | dict(stored.positions))
            log.error("the positions were deleted; writing them again", topic=self._positions.topic)
        elif self._claimed:
            self._must_be_mine(stored.claim)
        if stored.claim != claim:
            again = [self._positions.record(*each) for each in stored.positions.items()] if lost else []
            await writer.commit([self._positions.record(CLAIM, claim), *again], {})
            log.info("following", positions=len(stored.positions))
        self._claimed, self._written = True, dict(stored.positions)
        await asyncio.to_thread(self._source.restore, stored.positions)  # 3
        self.away = None

    async def _step(self, writer: Writer) -> None:
        if await self._refresh():
            await self._positions.must_be_the_same()
        batch = await asyncio.to_thread(self._source.read)
        if batch is None:
            await asyncio.sleep(POLL_S)
            return
        positions = [self._positions.record(of, position) for of, position in batch.positions.items()]
        await writer.commit([*batch.outs, *positions], {})  # 4
        for of, position in batch.positions.items():
            if position is None:
                self._written.pop(of, None)
            else:
                self._written[of] = position
        self._source.committed(batch)
        self._wrote(batch)

    async def _refresh(self) -> bool:
        """Follow changes of the topics' partitions. Returns whether it was time to."""
        now_s = asyncio.get_running_loop().time()
        if self._placement.known and now_s - self._refreshed_s <= _REFRESH_S:
            return False
        await self._placement.refresh(self._cluster)
        self._refreshed_s = now_s
        return True

    async def _must_be_newest(self) -> None:
        """Raises PermanentError if another process follows under this name now."""
        while True:
            try:
                claim = (await self._positions.read()).claim
            except TransientError as error:
                self.away = str(error)
                await asyncio.sleep(_LONGEST_RETRY_S)
                continue
            self._must_be_mine(claim)
            return

    def _must_be_mine(self, claim: FollowClaim | None) -> None:
        if claim is not None and claim.instance != self._instance:
            raise PermanentError(
                f"another process on {claim.host} follows under the same name now ({self._id}); expected one process "
                "for each --name. This one has ended; nothing is lost or written twice"
            )


async def _finished(step: Coroutine[Any, Any, None]) -> None:
    """Run a step. It is not cut off when the process is asked to stop: what it has read is written first."""
    task = asyncio.ensure_future(step)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task], timeout=_DRAIN_S)
        task.cancel()
        raise
