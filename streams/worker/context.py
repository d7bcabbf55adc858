"""What all owners of a worker share, and the phases of an owner."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

import structlog

from monitor.partition.checkpoint import DecidingSettings, PartitionIdentity
from monitor.partition.partitioner import Partitioner
from monitor.partition.task import StreamTask
from monitor.policy.model import Policy
from streams.kafka.api import Cluster
from streams.kafka.topic_names import TopicNames
from streams.runtime.compute_turns import ComputeTurns
from streams.runtime.monotonic import BrokerClock
from streams.worker.metrics import WorkerMetrics

log = structlog.get_logger("callwarden")


class OwnedPhase(Enum):
    """What an owner is doing."""

    OPENING = "opening"
    RUNNING = "running"
    PARKED = "parked"  # revoked, its memory kept for a quick return
    REFUSED = "refused"  # waits for an operator's command
    STOPPED = "stopped"  # by an unexpected error or a damaged log
    MISCONFIGURED = "misconfigured"  # topics differ, or no command can be read; until assigned again


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """What all owners of a worker share.

    ``now_ms`` is the host's clock; no decision depends on it. ``broker_clock`` is the broker's time, which idle clocks
    follow. ``rest_s`` is the wait after a failure. A worker with at most ``ready_lag`` unread records per log is ready.
    ``enforce_from_ms`` is the time from which a new partition decides. Large work runs in a thread, in its turn.
    """

    cluster: Cluster
    names: TopicNames
    policy: Policy
    secret: bytes
    live: DecidingSettings
    partitions: int
    partitioner: Partitioner
    application_id: str
    rest_s: float
    now_ms: Callable[[], int]
    telemetry: WorkerMetrics
    ready_lag: int = 100_000
    enforce_from_ms: int = 0
    measures: bool = True
    broker_clock: BrokerClock = field(default_factory=BrokerClock)
    turns: ComputeTurns = field(default_factory=ComputeTurns)

    def new_task(self, number: int) -> StreamTask:
        """A new task of this partition, with this worker's settings."""
        task = StreamTask(
            self.policy,
            self.secret,
            self.live,
            PartitionIdentity(number, self.partitions, self.partitioner),
            enforce_from_ms=self.enforce_from_ms,
        )
        if self.measures:
            task.write_measures()
        return task

    def log_differences(self, partition: StreamTask) -> None:
        """Log where an opened partition's state differs from this worker's settings; the state takes precedence."""
        number = partition.place.number
        known = [version.policy.sha256 for version in partition.policies.versions]
        if self.policy.sha256 not in known[-2:]:
            log.warning(
                "the policy of the state applies, not that of this worker's file; `callwarden policy apply` changes it",
                partition=number,
                policy=partition.policy.sha256[:12],
                file=self.policy.sha256[:12],
            )
        if partition.sources.keys_changed is not None:
            before, change = partition.sources.keys_changed
            log.info(
                "the review keys change",
                partition=number,
                offset=change.offset,
                before=before,
                after=sorted(change.keys),
            )
        keys = partition.sources.review_keys
        if self.live.review_keys is None and keys:
            log.warning(
                "the state has review keys and this worker has none: those of the state stay in force; "
                "CALLWARDEN_REVIEW_KEYS_FILE changes them, also to none",
                partition=number,
                names=sorted(keys),
            )
        if partition.enforce_from_ms != self.enforce_from_ms:
            log.warning(
                "the state has another CALLWARDEN_ENFORCE_FROM, which stays in effect",
                partition=number,
                from_ms=partition.enforce_from_ms,
                told_ms=self.enforce_from_ms,
            )
