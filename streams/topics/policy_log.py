"""The policies in the clock logs of an application: which apply in each partition since when, and which will."""

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from monitor.partition.journal import PolicyChange, PolicyWithdrawal
from monitor.policy.load import PolicyError, from_plain
from monitor.policy.model import Policy
from monitor.policy.timeline import PolicyVersion, next_change_ms
from streams.kafka.api import TP, Cluster, PermanentError
from streams.kafka.topic_names import TopicNames
from streams.topics import clock_topic
from streams.topics.progress import judged_ms

_TAGS = (b'"type":"policy"', b'"type":"withdraw"')  # a few of thousands of entries; the others are not decoded


@dataclass(slots=True)
class LoggedPolicies:
    """The policy changes of one partition, in order of time. Everything before ``judged_ms`` has been decided.

    ``withdrawn`` are the withdrawn changes, each with the entry of its withdrawal.
    """

    judged_ms: int
    changes: list[PolicyChange] = field(default_factory=list)
    withdrawn: list[tuple[PolicyChange, PolicyWithdrawal]] = field(default_factory=list)

    @property
    def coming(self) -> list[PolicyChange]:
        """The changes that do not apply yet."""
        return [change for change in self.changes if change.from_ms > self.judged_ms]


async def logged_policies(cluster: Cluster, names: TopicNames, numbers: Iterable[int]) -> dict[int, LoggedPolicies]:
    """The policy changes of each of these partition numbers. Raises TransientError and PermanentError."""
    return {number: await _of(cluster, names, number) for number in numbers}


async def _of(cluster: Cluster, names: TopicNames, number: int) -> LoggedPolicies:
    found = LoggedPolicies(await judged_ms(cluster, TP(names.output("state"), number)))
    clock = TP(names.output("clock"), number)
    start, end = (await cluster.starts([clock]))[clock], (await cluster.ends([clock]))[clock]
    standing: dict[int, PolicyChange] = {}
    async for change, withdrawal in changes(cluster, clock, start, end, standing):
        if withdrawal is not None:
            found.withdrawn.append((change, withdrawal))
    found.changes = [standing[from_ms] for from_ms in sorted(standing)]
    return found


async def changes(
    cluster: clock_topic.ClockLog, clock: TP, start: int, end: int, standing: dict[int, PolicyChange]
) -> AsyncIterator[tuple[PolicyChange, PolicyWithdrawal | None]]:
    """Update ``standing``, the changes by their times, from its value at offset ``start`` to that at ``end``.

    Yields each change that was added (with None) or withdrawn (with its withdrawal). Raises TransientError and
    PermanentError.
    """
    async for _, _, entry in clock_topic.journal_entries(cluster, clock, start, end, having=_TAGS):
        if isinstance(entry, PolicyChange) and entry.from_ms not in standing:
            standing[entry.from_ms] = entry
            yield entry, None
        elif isinstance(entry, PolicyWithdrawal) and entry.from_ms in standing:
            yield standing.pop(entry.from_ms), entry


def newest(found: Mapping[int, LoggedPolicies]) -> PolicyVersion | None:
    """The policy with the latest time of all, None if there is none. Raises PermanentError if it cannot be read."""
    every = [change for one in found.values() for change in one.changes]
    if not every:
        return None
    last = max(every, key=lambda change: change.from_ms)
    return PolicyVersion(last.from_ms, _read(last))


def lateness_ms(found: Mapping[int, LoggedPolicies], otherwise_ms: int) -> int:
    """The longest lateness of all policies that apply or will apply, in ms.

    ``otherwise_ms`` stands for a partition that has recorded no policy that applies. Raises PermanentError if a policy
    cannot be read.
    """
    return max(_latenesses_ms(found, otherwise_ms), default=0)


def shortest_lateness_ms(found: Mapping[int, LoggedPolicies], otherwise_ms: int) -> int:
    """The shortest lateness; see `lateness_ms`."""
    return min(_latenesses_ms(found, otherwise_ms), default=otherwise_ms)


def _latenesses_ms(found: Mapping[int, LoggedPolicies], otherwise_ms: int) -> Iterator[int]:
    for one in found.values():
        holds = [change for change in one.changes if change.from_ms <= one.judged_ms][-1:]
        if not holds:
            yield otherwise_ms
        for change in (*holds, *one.coming):
            yield _read(change).lateness_ms


def _read(change: PolicyChange) -> Policy:
    try:
        return from_plain(change.policy, change.sha256)
    except PolicyError as error:
        raise PermanentError(f"expected a policy that this release can read: {error}") from None


def earliest(last: PolicyVersion | None, from_ms: int) -> int:
    """The time from which a policy requested from ``from_ms`` on applies: after the ``last``."""
    return next_change_ms(from_ms if last is None else max(from_ms, last.from_ms + 1))


def in_the_way(found: Mapping[int, LoggedPolicies], from_ms: int) -> PolicyChange | None:
    """The latest future change at or after the time from which a policy requested from ``from_ms`` would apply."""
    later = [change for one in found.values() for change in one.coming if change.from_ms >= next_change_ms(from_ms)]
    return max(later, key=lambda change: change.from_ms, default=None)
