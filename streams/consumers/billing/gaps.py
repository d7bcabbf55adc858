"""Records that were deleted before they were handled: the consequence, and how an operator continues without them."""

from sqlalchemy import Connection, select, update

from monitor.text.masking import mask_numbers
from streams.consumers.billing.tables import GAP, POSITION, POSITIONS
from streams.consumers.data_loss import OtherCluster, RecordsLost, rewritten
from streams.consumers.database import Database
from streams.consumers.topic_reader import TopicReader
from streams.kafka.api import TP, PermanentError


def consequence(gone: RecordsLost | OtherCluster) -> str:
    """The message for lost records: why billing stops, what is unknown, and what can be done."""
    if isinstance(gone, OtherCluster):
        each = " ".join(f"--partition {tp.partition} --offset {start}" for tp, start in sorted(gone.starts.items()))
        return (
            f"{gone}.\nTo keep the holds of before, too, some of which may never be taken away:\n"
            f"  callwarden billing --accept-loss {each} --reason WHY"
        )
    accept = "callwarden billing --accept-loss --partition {} --offset {} --reason WHY".format
    if gone.offset > gone.start:
        return (
            f"{gone}\n"
            "Going on would pass over the decisions that the new topic has there. If this database belongs to another "
            "cluster, CALLWARDEN_BILLING_DATABASE or CALLWARDEN_BOOTSTRAP_SERVERS is to be mended. If the topic was "
            "recreated, a new, empty database knows what that topic says, and nothing of before. To keep the holds of "
            f"before, too, some of which may never be taken away:\n  {accept(gone.tp.partition, 0)}"
        )
    return (
        f"{gone}\n"
        "Whom these records froze and released is unknown: a tenant whom they froze would be told refundable, and a "
        "hold that they took away would stay for good. The topic must never expire (`callwarden topics check`). A "
        "database that is further on, such as a later backup of this one, loses nothing. Without one: `callwarden "
        "ledger` and `callwarden replay --from-topics` know what was decided; look there for frozen refunds. Then, to "
        "go on with the gap noted:\n"
        f"  {accept(gone.tp.partition, gone.start)}"
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
                f"{tp.topic}-{tp.partition}: nothing that is to be handled next, from {at} on, was deleted"
            )
        if offset != start:
            raise PermanentError(f"{tp.topic}-{tp.partition} begins at {start}, not at {offset}")
        POSITIONS.begin(connection, {tp: at}, cluster)
        values = {"next": start, "last_offset": None, "last_hash": None, "cluster": cluster}
        connection.execute(update(POSITION).where(*mine).values(values))
        gap = {"topic": tp.topic, "partition": tp.partition, "start": at, "stop": start}
        connection.execute(GAP.insert(), gap | {"accepted_ms": now_ms, "reason": mask_numbers(reason)})

    await database.run(work)
