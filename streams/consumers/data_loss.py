"""Detects records that were lost before they were handled: deleted, truncated, or of another cluster."""

import asyncio
from collections.abc import Collection, Mapping

from streams.consumers.offsets import LastRecord, hash_of
from streams.consumers.topic_reader import TopicReader
from streams.kafka.api import TP, OffsetOutOfRange, PermanentError
from streams.wording.consumer_wording import consumer_sentence


class RecordsLost(PermanentError):
    """Records were deleted from the topic before they were handled, so their effects are unknown.

    ``start``: where the log resumes. It is before ``offset`` if the topic was recreated or, ``rewritten``, truncated
    and written again. ``message`` is the text in both languages.
    """

    def __init__(self, tp: TP, offset: int, start: int, rewritten: bool = False) -> None:
        log = f"{tp.topic}-{tp.partition}"
        if rewritten:
            self.message = consumer_sentence("lost_rewritten", log=log, offset=offset)
        else:
            self.message = consumer_sentence(
                "lost_end" if offset >= start else "lost", log=log, offset=offset, start=start
            )
        super().__init__(self.message.en)
        self.tp, self.offset, self.start = tp, offset, start


class OtherCluster(PermanentError):
    """The positions in the database belong to another cluster: its offsets do not apply to this one.

    ``starts``: the start offset of each partition in this cluster.
    """

    def __init__(self, name: str, theirs: str, ours: str, starts: Mapping[TP, int]) -> None:
        super().__init__(
            f"this database has offsets of the Kafka cluster {theirs}; expected those of {ours}. If an address is "
            f"wrong, correct CALLWARDEN_BOOTSTRAP_SERVERS or CALLWARDEN_{name.upper()}_DATABASE. If {ours} has "
            f"replaced {theirs}, use a new, empty database: it is filled from the topics"
        )
        self.starts = starts


def same_cluster(name: str, kept: Collection[str], cluster: str | None, starts: Mapping[TP, int]) -> None:
    """Raises OtherCluster if the positions ``kept`` in the database ``name`` belong to another cluster."""
    others = set(kept) - {cluster}
    if cluster is not None and others:
        raise OtherCluster(name, min(others), cluster, starts)


async def rewritten(topics: TopicReader, last: Mapping[TP, LastRecord]) -> set[TP]:
    """The partitions whose last handled record has changed; a deleted record does not count. Raises TransientError or
    PermanentError."""

    async def is_other(tp: TP, at: LastRecord) -> bool:
        try:
            async for batch in topics.read(tp, at.offset, at.offset + 1):
                for key, value in zip(batch.keys, batch.values, strict=True):
                    return hash_of(key, value) != at.hash
        except OffsetOutOfRange:
            return False
        return True

    answers = await asyncio.gather(*(is_other(tp, at) for tp, at in last.items()))
    return {tp for tp, other in zip(last, answers, strict=True) if other}


def lost(
    at: Mapping[TP, int],
    starts: Mapping[TP, int],
    ends: Mapping[TP, int],
    cut: Collection[TP],
    others: Collection[TP],
    *,
    to_end: bool,
) -> dict[TP, RecordsLost]:
    """The partitions whose record at ``at`` is gone. ``cut``: those that end before it; ``others``: rewritten ones.

    ``to_end``: resume a rewritten log at its end, for a consumer that skips lost records.
    """
    found = {}
    for tp, offset in at.items():
        if offset < starts[tp] or tp in cut or tp in others:
            at_end = tp in cut or (to_end and tp in others)
            found[tp] = RecordsLost(tp, offset, ends[tp] if at_end else starts[tp], tp in others)
    return found
