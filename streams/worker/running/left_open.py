"""Transactions that Kafka has committed and left open in the topics of partitions that run, and how they are ended.

If a partition has no leader when a transaction is committed, Kafka acknowledges the commit and leaves the marker out
(`TransactionMarkerChannelManager`: "likely deleted already and hence can be skipped"). This happens when all brokers
with the partition stand still for longer than their sessions. Then nobody can read what was committed there, nor what
others write after it, until the same producer ends another transaction there: in `enforcement` at its next decision,
perhaps days later. `kafka-transactions abort` would lose what was committed.

A transaction without records ends it. All commits of a partition since it was opened were acknowledged, so between its
transactions nothing of its own may be open. What other programs have open is not changed. What a former owner has left
open is committed with the first transaction in the same topic, whether it was aborted or not: Kafka cannot tell either.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import structlog

from streams.kafka.api import TP, Cluster, PermanentError, TransientError
from streams.kafka.topic_names import OUTPUTS, TopicNames
from streams.worker.context import WorkerContext
from streams.worker.running.running_partition import RunningPartition

log = structlog.get_logger("callwarden")

_EVERY_S: Final = 5.0
_FIRST_S: Final = 10.0  # what is open for longer is ended; after each try the next one waits twice as long


def outputs_of(names: TopicNames, number: int) -> list[TP]:
    """The topic partitions that the transactions of partition ``number`` alone write to."""
    return [TP(names.output(name), number) for name in OUTPUTS if name != "control"]


async def open_at(cluster: Cluster, tps: Sequence[TP]) -> dict[TP, int]:
    """The partitions in which a transaction is open, and the offset from which on they cannot be read.

    Raises the cluster's TransientError and PermanentError.
    """
    written = await cluster.high_watermarks(tps)  # first: what is written in between may be committed in between
    ends = await cluster.ends(tps)
    return {tp: ends[tp] for tp in tps if ends[tp] < written[tp]}


class LeftOpen:
    """Looks for transactions that stay open in the topics of the partitions ``running``, by number, which end them."""

    def __init__(self, context: WorkerContext, running: Callable[[], Mapping[int, RunningPartition]]) -> None:
        self._context, self._running = context, running
        self._tries: dict[tuple[TP, int], tuple[float, float]] = {}  # when the next one is due, and how long it waited
        self._fault = ""

    async def run(self) -> None:
        """Look at the topics until cancelled. A failed look stops nothing: the next one finds the same."""
        while True:
            await asyncio.sleep(_EVERY_S)
            tps = [tp for number in self._running() for tp in outputs_of(self._context.names, number)]
            try:
                found = await open_at(self._context.cluster, tps)
            except (TransientError, PermanentError) as error:
                if not self._fault:
                    log.warning("topics cannot be searched for transactions that were left open", why=str(error))
                self._fault = str(error)
            else:
                self._fault = ""
                self.end(found, asyncio.get_running_loop().time())

    def end(self, found: Mapping[TP, int], now_s: float) -> None:
        """Have what has been ``found`` open for long ended."""
        self._tries = {one: self._tries.get(one, (now_s + _FIRST_S, _FIRST_S)) for one in found.items()}
        for number, partition in self._running().items():
            due = [one for one, (at_s, _) in self._tries.items() if one[0].partition == number and at_s <= now_s]
            if due:
                tps = [tp for tp, _ in due]
                topics = [tp.topic for tp in tps]
                log.warning("transactions stay open; what was committed is ended", partition=number, topics=topics)
                partition.end_left_open(tps)
            for one in due:
                waits_s = 2 * self._tries[one][1]
                self._tries[one] = now_s + waits_s, waits_s
