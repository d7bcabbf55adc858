"""A broker in memory: its logs, transaction coordinator and one consumer group, and whether it is up."""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from crash.group import Group
from crash.log import Log, Record, Txn
from crash.virtual import VirtualClock, VirtualLoop
from streams.kafka.api import TP, Fenced, TopicInfo, TransientError

MARKER_DELAY_S = 0.05
METADATA_S = 10.0  # until clients notice that topics have changed
COMPACTION_LAG_S = 600.0


@dataclass(slots=True)
class _Producer:
    """The coordinator's state of a transactional id: its epoch, its open transaction, and whether one is being
    completed.
    """

    epoch: int = -1
    open: Txn | None = None
    ending: bool = False
    last: Txn | None = None

    @property
    def undecided(self) -> Txn | None:
        """The transaction that is open, or whose markers are being written."""
        return self.open if self.open is not None else self.last if self.ending else None


class Broker:
    """Everything that outlives the workers. ``topics`` maps each topic to its number of partitions.

    While the broker is down, its background work (markers, timeouts, rebalances) pauses, and stored records are kept.
    ``refusals`` counts the requests that failed because it was down, ``timeouts`` the transactions that it aborted
    after their timeout. ``damaged`` maps a partition to the first and last offset of a range with a wrong checksum.
    ``leaderless`` are the partitions without a leader: Kafka leaves their markers out, and ``left_out`` counts these.
    """

    def __init__(
        self,
        loop: VirtualLoop,
        clock: VirtualClock,
        rng: random.Random,
        topics: Mapping[str, int],
        session_timeout_s: float = 10.0,
        transaction_timeout_s: float = 30.0,
    ) -> None:
        self.loop, self.clock, self.rng = loop, clock, rng
        self.topics = dict(topics)
        self.logs = {TP(topic, n): Log() for topic, count in topics.items() for n in range(count)}
        self._created: dict[str, int] = {}
        self.up = True
        self.damaged: dict[TP, tuple[int, int]] = {}
        self.leaderless: set[TP] = set()
        self.left_out = 0
        self.refusals = 0
        self.timeouts = 0
        self.group = Group(self, session_timeout_s)
        self.transaction_timeout_s = transaction_timeout_s
        self._producers: dict[str, _Producer] = {}
        self._arrivals: dict[asyncio.Future[None], None] = {}

    # Time and availability ---------------------------------------------------------------------------------------

    def later(self, delay_s: float, call: Callable[[], None]) -> asyncio.TimerHandle:
        """Schedule the broker's background work after a delay. If the broker is down by then, the work runs after its
        return.
        """

        def due() -> None:
            if self.up:
                call()
            else:
                self.loop.outside(delay_s + 0.1, due)

        return self.loop.outside(delay_s, due)

    async def arrival(self, most_s: float) -> None:
        """Wait until any log has more to read, at most ``most_s``."""
        future = self.loop.create_future()
        timer = self.loop.call_later(most_s, _settle, future)
        self._arrivals[future] = None
        try:
            await future
        finally:
            timer.cancel()
            self._arrivals.pop(future, None)

    def _arrived(self) -> None:
        for future in self._arrivals:
            _settle(future)
        self._arrivals.clear()

    # Topics -----------------------------------------------------------------------------------------------------

    def describe(self, topic: str) -> TopicInfo:
        """Describe the topic as a metadata response does."""
        return TopicInfo(self.topics[topic], f"{topic}/{self._created.get(topic, 0)}")

    def delete(self, topic: str) -> None:
        """Delete the topic, as `kafka-topics --delete`."""
        for number in range(self.topics.pop(topic)):
            del self.logs[TP(topic, number)]
            self.group.offsets.pop(TP(topic, number), None)
        self._changed()

    def alter(self, topic: str, partitions: int) -> None:
        """Add partitions, as `kafka-topics --alter --partitions`."""
        self.logs |= {TP(topic, number): Log() for number in range(self.topics[topic], partitions)}
        self.topics[topic] = partitions
        self._changed()

    def _changed(self) -> None:
        self.later(METADATA_S, self.group.rebalance)

    def create(self, topic: str, partitions: int) -> None:
        """Create the topic, as `kafka-topics --create`. Its id differs from that of a deleted topic of
        the same name.
        """
        self.topics[topic] = partitions
        self._created[topic] = self._created.get(topic, 0) + 1
        self.logs |= {TP(topic, number): Log() for number in range(partitions)}
        self._changed()

    def recreate(self, topic: str) -> None:
        """Delete the topic and create it again with the same number of partitions."""
        partitions = self.topics[topic]
        self.delete(topic)
        self.create(topic, partitions)

    # Logs -------------------------------------------------------------------------------------------------------

    def append(self, tp: TP, *records: Record) -> int:
        """Append records without a transaction; return the offset of the last."""
        offset = self.logs[tp].append(records, self.clock.now_ms())
        self._arrived()
        return offset

    def compact(self, tp: TP) -> int:
        """Run the log cleaner; return the number of entries removed. Tombstones stay for a while: every reader sees
        them.
        """
        since_ms = self.clock.now_ms() - int(1000 * COMPACTION_LAG_S)
        return self.logs[tp].compact(self.rng, since_ms)

    # Transactions -----------------------------------------------------------------------------------------------

    def busy(self, transactional_id: str) -> bool:
        """Whether a transaction of this id is being completed. Until it is, the coordinator begins no
        other for the id.
        """
        return self._producer(transactional_id).ending

    @property
    def quiet(self) -> bool:
        """Whether no transaction is open or being completed."""
        return not any(producer.open or producer.ending for producer in self._producers.values())

    def fence(self, transactional_id: str) -> int:
        """Initialise a new producer of this id and return its epoch. An open transaction is aborted; `busy` holds
        meanwhile.
        """
        producer = self._producer(transactional_id)
        producer.epoch += 1
        if producer.open is not None:
            self._end(producer, producer.open, committed=False)
        return producer.epoch

    def begin(self, transactional_id: str, epoch: int, timeout_s: float | None = None) -> Txn:
        """Open a transaction. The coordinator aborts it when it stays open longer than ``timeout_s``."""
        producer = self._current(transactional_id, epoch)
        assert producer.open is None, "a producer has one transaction at a time"
        assert not producer.ending, "a transaction cannot begin while another is being ended"
        producer.open = txn = Txn(transactional_id, epoch)

        def too_long() -> None:
            if producer.open is txn:
                self.timeouts += 1
                producer.epoch += 1
                self._end(producer, txn, committed=False)

        self.later(self.transaction_timeout_s if timeout_s is None else timeout_s, too_long)
        return txn

    def produce(self, transactional_id: str, txn: Txn, tp: TP, records: Sequence[Record]) -> int:
        """Write in a transaction; return the offset of the last record."""
        self._holds(transactional_id, txn)
        if tp not in self.logs:
            raise TransientError(f"{tp.topic} does not exist")
        if tp not in txn.tps:
            txn.tps.append(tp)
        return self.logs[tp].append(records, self.clock.now_ms(), txn)

    def add_partitions(self, transactional_id: str, txn: Txn, tps: Sequence[TP]) -> None:
        """Let the transaction end in these logs, too."""
        self._holds(transactional_id, txn)
        txn.tps += [tp for tp in tps if tp not in txn.tps]

    def add_offsets(self, transactional_id: str, txn: Txn, offsets: Mapping[TP, int], note: str = "") -> None:
        """Add offsets of the group, committed with the transaction. The group's generation is not checked."""
        self._holds(transactional_id, txn)
        txn.offsets.update(offsets)
        txn.notes.update(dict.fromkeys(offsets, note))

    def undecided_offset(self, tp: TP) -> bool:
        """Whether a transaction has written an offset of the group and is not ended: the answer is not stable yet."""
        return any(
            producer.undecided is not None and tp in producer.undecided.offsets for producer in self._producers.values()
        )

    def commit(self, transactional_id: str, txn: Txn) -> None:
        """Commit the transaction. Readers see it by the markers, which are written log by log afterwards."""
        self._end(self._holds(transactional_id, txn), txn, committed=True)

    def _producer(self, transactional_id: str) -> _Producer:
        return self._producers.setdefault(transactional_id, _Producer())

    def _current(self, transactional_id: str, epoch: int) -> _Producer:
        producer = self._producer(transactional_id)
        if producer.epoch != epoch:
            raise Fenced(f"{transactional_id}: there is a newer producer, of epoch {producer.epoch}")
        return producer

    def _holds(self, transactional_id: str, txn: Txn) -> _Producer:
        producer = self._current(transactional_id, txn.epoch)
        if producer.open is not txn:
            raise Fenced(f"{transactional_id}: the transaction was ended by the coordinator")
        return producer

    def _end(self, producer: _Producer, txn: Txn, committed: bool) -> None:
        producer.open, producer.ending, producer.last = None, True, txn
        waiting = self.rng.sample(txn.tps, len(txn.tps))

        def next_marker() -> None:
            if waiting:
                tp = waiting.pop()
                if tp in self.leaderless:
                    self.left_out += 1
                elif (log := self.logs.get(tp)) is not None:
                    log.mark(txn, committed, self.clock.now_ms())
                    self._arrived()
                self.later(self.rng.choice((0.0, self.rng.random() * MARKER_DELAY_S)), next_marker)
            else:
                if committed:
                    self.group.offsets.update(txn.offsets)
                    self.group.notes.update(txn.notes)
                producer.ending = False

        self.later(self.rng.choice((0.0, self.rng.random() * MARKER_DELAY_S)), next_marker)


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
