"""Transactions that Kafka has committed and left open in a worker's topics, and how they are ended.

If a partition has no leader when a transaction is committed, Kafka acknowledges the commit and leaves the marker out
(`TransactionMarkerChannelManager`: "likely deleted already and hence can be skipped"). This happens when all brokers
with the partition stand still for longer than their sessions. Then nobody can read what was committed there, nor what
others write after it, until the same producer ends another transaction there: in `enforcement` at its next decision,
perhaps days later. `kafka-transactions abort` would lose what was committed.

A writer that has just started has no transaction under way. What is open in its partitions then was left open, and a
transaction without records ends it. Partitions that run are checked often: if a worker dies in its next transaction,
Kafka aborts what both have written, and `callwarden audit` names what is missing.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from streams.kafka.api import TP, Cluster, PermanentError, TransientError, Writer
from streams.kafka.topic_names import OUTPUTS, TopicNames
from streams.worker.context import WorkerContext

log = structlog.get_logger("callwarden")

_OTHERS_S: Final = 1.0  # a transaction of another program, as of the ingest service, is over by then
_MARKERS_S: Final = 5.0  # a marker is written within this time after the commit is acknowledged
_EVERY_S: Final = 5.0
_LONGEST_S: Final = 10.0  # a transaction is over by then; to open a partition again that is only slow does no harm


def outputs_of(names: TopicNames, number: int) -> list[TP]:
    """The topic partitions that the transactions of partition ``number`` write to, but for the topic of owners."""
    return [TP(names.output(name), number) for name in OUTPUTS if name != "control"]


async def open_at(cluster: Cluster, tps: Sequence[TP]) -> dict[TP, int]:
    """The partitions in which a transaction is open, and the offset from which on they cannot be read.

    Raises the cluster's TransientError and PermanentError.
    """
    written = await cluster.high_watermarks(tps)  # first: what is written in between may be committed in between
    ends = await cluster.ends(tps)
    return {tp: ends[tp] for tp in tps if ends[tp] < written[tp]}


async def end_left_open(cluster: Cluster, names: TopicNames, number: int, writer: Writer) -> None:
    """End the transactions of a ``writer``, which must have been started, that are open in the partition's topics.

    Raises Fenced, PermanentError, and TransientError, also if the state cannot be read to its end.
    """
    found = await _still_open(cluster, await open_at(cluster, [*outputs_of(names, number), names.owners]), _OTHERS_S)
    if not found:
        return
    topics = sorted(tp.topic for tp in found)
    log.warning("transactions were left open; they are committed again", partition=number, topics=topics)
    await writer.commit_again(list(found))
    still = await _still_open(cluster, found, _MARKERS_S)
    state = TP(names.output("state"), number)
    if state in still:
        at = f"{state.topic}-{number} at offset {still[state]}"
        raise TransientError(f"a transaction of another program is open in {at}")


async def _still_open(cluster: Cluster, found: dict[TP, int], within_s: float) -> dict[TP, int]:
    """Those of ``found`` that are still open at the same offset after that time; returns as soon as there is none."""
    loop = asyncio.get_running_loop()
    until_s = loop.time() + within_s
    while found and loop.time() < until_s:
        await asyncio.sleep(0.1)
        now = await open_at(cluster, list(found))
        found = {tp: at for tp, at in found.items() if now.get(tp) == at}
    return found


class LeftOpen:
    """Has a partition opened again if a transaction was left open in its topics, which ends it.

    ``running`` gives the numbers of the partitions that run, ``open_again`` opens one.
    """

    def __init__(
        self, context: WorkerContext, running: Callable[[], Sequence[int]], open_again: Callable[[int], None]
    ) -> None:
        self._context, self._running, self._open_again = context, running, open_again
        self._since_s: dict[tuple[TP, int], float] = {}
        self._ended: set[tuple[TP, int]] = set()  # once is enough: what is still open is of another program
        self._next_s = 0.0

    async def check(self) -> None:
        """Look at the topics if it is time. Raises TransientError."""
        now_s, names = asyncio.get_running_loop().time(), self._context.names
        running = self._running()
        if now_s < self._next_s or not running:
            return
        self._next_s = now_s + _EVERY_S
        tps = [tp for number in running for tp in outputs_of(names, number)]
        try:
            found = await open_at(self._context.cluster, [*tps, names.owners])
        except PermanentError:  # a topic was deleted, which the check of the topics reports
            return
        self._since_s = {one: self._since_s.get(one, now_s) for one in found.items()}
        self._ended &= self._since_s.keys()
        late = {one for one, since_s in self._since_s.items() if now_s - since_s > _LONGEST_S} - self._ended
        self._ended |= late
        numbers = {number for tp, _ in late for number in (running if tp == names.owners else [tp.partition])}
        for number in sorted(numbers.intersection(self._running())):
            log.warning("a transaction was left open; its partition is opened again", partition=number)
            self._open_again(number)
