"""Records that were deleted before they were handled: the consequence, and how an operator continues without them."""

from sqlalchemy import Connection, select, update

from monitor.text.masking import mask_text
from streams.consumers.billing.tables import GAP, POSITION, POSITIONS
from streams.consumers.data_loss import OtherCluster, RecordsLost, rewritten
from streams.consumers.database import Database
from streams.consumers.topic_reader import TopicReader
from streams.kafka.api import TP, PermanentError


def consequence(lost: RecordsLost | OtherCluster) -> str:
    """The message for lost records: why billing stops, what is unknown, and what can be done."""
    if isinstance(lost, OtherCluster):
        each = " ".join(f"--partition {tp.partition} --offset {start}" for tp, start in sorted(lost.starts.items()))
        return (
            f"{lost}.\nTo keep the existing holds, some of which may then never be released:\n"
            f"  callwarden billing --accept-loss {each} --reason WHY"
        )
    accept = "callwarden billing --accept-loss --partition {} --offset {} --reason WHY".format
    if lost.offset > lost.start:
        return (
            f"{lost}\n"
            "Continuing from there would skip the decisions in the new topic. If this database belongs to another "
            "cluster, correct CALLWARDEN_BILLING_DATABASE or CALLWARDEN_BOOTSTRAP_SERVERS. If the topic was recreated, "
            "a new, empty database is filled from the new topic alone. To keep the existing holds, some of which may "
            f"then never be released:\n  {accept(lost.tp.partition, 0)}"
        )
    return (
        f"{lost}\n"
        "The holds that these records added and released are unknown: a tenant whose refunds they froze would be "
        "answered as refundable and cancellable, and a hold that they released would stay. The topic must never expire "
        "(`callwarden topics check`). A database that has handled these records, such as a later backup of this one, "
        "loses nothing. Without one, find the frozen refunds with `callwarden ledger` or `callwarden replay "
        "--from-topics`. Then, to continue and record the gap:\n"
        f"  {accept(lost.tp.partition, lost.start)}"
    )


async def accept(topics: TopicReader, database: Database, tp: TP, offset: int, reason: str, now_ms: int) -> None:
    """Continue at ``offset``, where everything before it was deleted, or at the start of a topic that was recreated, in
    this cluster or another.

    Raises PermanentError if that is not the case, or if the records start elsewhere; accepting a gap twice has no
    effect. Handling records again is harmless. Raises TransientError.
    """
    counts = await topics.partitions([tp.topic])
    if tp.partition >= counts.get(tp.topic, 0):
        raise PermanentError(f"{tp.topic} has no partition {tp.partition}")
    start, end = (await topics.starts([tp]))[tp], (await topics.ends([tp]))[tp]
    last = (await database.run(POSITIONS.last)).get(tp)
    other = last is not None and start <= last.offset < end and await rewritten(topics, {tp: last})
    cluster = await topics.cluster_id()

    mine = (POSITION.c.topic == tp.topic, POSITION.c.partition == tp.partition)

    def work(connection: Connection) -> None:
        at = POSITIONS.known(connection).get(tp, 0)
        whose = connection.execute(select(POSITION.c.cluster).where(*mine)).scalar()
        if start <= at <= end and not other and whose in (None, cluster):
            here = (GAP.c.topic == tp.topic, GAP.c.partition == tp.partition, GAP.c.stop == offset)
            if connection.execute(select(GAP).where(*here)).first():
                return
            raise PermanentError(
                f"{tp.topic}-{tp.partition}: no record from offset {at}, the next one to handle, was deleted"
            )
        if offset != start:
            raise PermanentError(f"{tp.topic}-{tp.partition} begins at offset {start}; expected {offset}")
        POSITIONS.begin(connection, {tp: at}, cluster)
        values = {"next": start, "last_offset": None, "last_hash": None, "cluster": cluster}
        connection.execute(update(POSITION).where(*mine).values(values))
        gap = {"topic": tp.topic, "partition": tp.partition, "start": at, "stop": start}
        connection.execute(GAP.insert(), gap | {"accepted_ms": now_ms, "reason": mask_text(reason)})

    await database.run(work)
