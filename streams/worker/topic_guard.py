"""Stops partitions while a topic is missing, and opens them again once all are there or one was created again."""

from collections.abc import Mapping

import structlog

from streams.kafka.api import TP
from streams.kafka.topic_changes import TopicChanges
from streams.wording.worker_wording import worker_text
from streams.worker.context import WorkerContext
from streams.worker.partition_owner import PartitionOwner

log = structlog.get_logger("callwarden")


class TopicGuard:
    """Refuses or opens the ``assigned`` partitions as each check of the topics requires."""

    def __init__(self, context: WorkerContext, owners: Mapping[int, PartitionOwner], assigned: set[int]) -> None:
        self._context, self._owners, self._assigned = context, owners, assigned
        self._halted: set[int] = set()  # partitions refused because of the topics
        self.watch = TopicChanges(context.names, context.partitions)

    def begin(self, owner: PartitionOwner, assigned: frozenset[TP]) -> None:
        """Open a partition that was assigned, or refuse it if one of its topics is missing."""
        missing = [f"{tp.topic}-{tp.partition}" for tp in self._context.names.of(owner.number) if tp not in assigned]
        if self.watch.halting or missing:
            self._halted.add(owner.number)
            owner.refuse("; ".join(self.watch.halting.values()) or worker_text("no_topics", topics=", ".join(missing)))
        else:
            self._halted.discard(owner.number)
            owner.begin()

    async def check(self, assigned: frozenset[TP]) -> bool:
        """Check the topics; returns whether all are present and unchanged.

        Raises the cluster's TransientError and PermanentError.
        """
        watch, before = self.watch, self.watch.faults
        recreated = watch.record(await self._context.cluster.topics(self._context.names.all))
        if watch.faults != before:
            self._context.telemetry.topic_faults(len(watch.faults))
            for why in watch.faults:
                log.error("a topic is misconfigured", why=why)
            if not watch.faults:
                log.info("all topics are configured correctly")
        for owner in [self._owners[number] for number in sorted(self._assigned)]:
            number = owner.number
            if watch.halting:
                self._halted.add(number)
                owner.refuse("; ".join(watch.halting.values()))
            elif (recreated or number in self._halted) and assigned.issuperset(self._context.names.of(number)):
                self._halted.discard(number)
                owner.forget()
                owner.begin()
        return not watch.halting and not watch.suspected
