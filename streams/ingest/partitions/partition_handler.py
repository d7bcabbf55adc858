"""What is done with the records of one partition."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from streams.kafka.api import TP, FetchedBatch
from streams.kafka.outputs import OutputRecord


class Fed(NamedTuple):
    """How far a handler has come: about how many bytes of output wait for `take`, and the next offset to feed.

    A ``position`` before the end of the batch asks for a transaction first; the rest is then fed again. ``more``: so
    does what is left to do after the records that were read; the rest may have no rows.
    """

    waiting_bytes: int
    position: int
    more: bool = False


class PartitionHandler(Protocol):
    """Turns the records of one partition into output records.

    There is one from each opening of the partition to its end or to a failure, after which it is discarded: whatever
    it knows must follow from `restore` and from the records that it was fed since. An error that it raises, other than
    TransientError and Fenced, stops its partition. If one record is at fault, it belongs to the dead letters instead.
    """

    @property
    def idle_after_s(self) -> float | None:
        """After how many seconds without a record `idle` is called; None: never."""
        ...

    async def restore(self) -> None:
        """Read the state, if there is any: all that former owners have committed lies before the ends of its topic.

        Raises TransientError, after which the partition is opened again; until then /readyz has its text. Raises
        PermanentError, which stops the partition.
        """
        ...

    def feed(self, batch: FetchedBatch) -> Fed:
        """Take the next records, in a thread: in order, without gaps, nothing twice.

        The batch may have no rows. Those in ``unreadable`` are no valid records. Raises what `restore` raises.
        """
        ...

    def take(self) -> list[OutputRecord]:
        """All that is to be written for what was fed since the last `take`, in a thread. It may be empty."""
        ...

    def committed(self) -> None:
        """The transaction with the records of the last `take` is committed."""
        ...

    def idle(self) -> OutputRecord | None:
        """A record to append outside of transactions, since the partition has been read to its end for a while."""
        ...


NewHandler = Callable[[TP], PartitionHandler]
