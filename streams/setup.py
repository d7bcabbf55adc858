"""What all owners of a worker share, and what an owner can be doing."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from monitor.head import Live
from monitor.keying import Partitioner
from monitor.policy.model import Policy
from monitor.shard.packing import WRITES
from streams.cluster import Cluster
from streams.names import Names
from streams.telemetry import Telemetry


class Phase(Enum):
    """What an owner is doing."""

    OPENING = "opening"
    RUNNING = "running"
    PARKED = "parked"  # revoked, its memory kept for a quick return
    REFUSED = "refused"  # the operator must decide
    STOPPED = "stopped"  # an error that nobody foresaw
    UNFIT = "unfit"  # the topics do not fit together: until it is shared out anew, nothing can be done


@dataclass(frozen=True, slots=True)
class Setup:
    """What all owners of a worker share. ``now_ms`` is system time, ``rest_s`` how long to wait after a failure,
    ``state_format`` the format in which state is written where it is not in a later one already, ``ready_lag`` how many
    records of a log may be unread while the worker is ready.
    ``state_format`` the format in which state is written where it is not in a later one already, ``enforce_from_ms``
    the time from which a partition that is begun decides.
    """

    cluster: Cluster
    names: Names
    policy: Policy
    secret: bytes
    live: Live
    partitions: int
    partitioner: Partitioner
    application_id: str
    rest_s: float
    now_ms: Callable[[], int]
    telemetry: Telemetry
    state_format: int = WRITES
    ready_lag: int = 100_000
    enforce_from_ms: int = 0
