"""The policies of an application, as its clock log has them: what holds where since when, and what is to come."""

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field

from monitor.partition.journal import PolicyChange, PolicyWithdrawal
from monitor.policy.load import PolicyError, from_plain
from monitor.policy.model import Policy
from monitor.policy.timeline import PolicyVersion, next_change_ms
from streams.kafka.api import TP, Cluster, PermanentError
from streams.kafka.topic_names import TopicNames
from streams.topics import clock_topic as clocklog
from streams.topics.progress import judged_ms

_TAGS = (b'"type":"policy"', b'"type":"withdraw"')  # of thousands of notes a few are; the others need not be decoded


@dataclass(slots=True)
class LoggedPolicies:
    """What was noted of one partition, in order of time. All before ``judged_ms`` was decided when it was looked at.

    ``withdrawn`` are switches that were taken back, each with the note that did so.
    """

    judged_ms: int
    switches: list[PolicyChange] = field(default_factory=list)
    withdrawn: list[tuple[PolicyChange, PolicyWithdrawal]] = field(default_factory=list)

    @property
    def coming(self) -> list[PolicyChange]:
        """Those that are still to come."""
        return [switch for switch in self.switches if switch.from_ms > self.judged_ms]


async def logged_policies(cluster: Cluster, names: TopicNames, numbers: Iterable[int]) -> dict[int, LoggedPolicies]:
    """What was noted of policies for each of these partition numbers. Unavailable, Refused."""
    return {number: await _of(cluster, names, number) for number in numbers}


async def _of(cluster: Cluster, names: TopicNames, number: int) -> LoggedPolicies:
    found = LoggedPolicies(await judged_ms(cluster, TP(names.output("state"), number)))
    clock = TP(names.output("clock"), number)
    start, end = (await cluster.starts([clock]))[clock], (await cluster.ends([clock]))[clock]
    standing: dict[int, PolicyChange] = {}
    async for switch, gone in changes(cluster, clock, start, end, standing):
        if gone is not None:
            found.withdrawn.append((switch, gone))
    found.switches = [standing[from_ms] for from_ms in sorted(standing)]
    return found


async def changes(
    cluster: clocklog.ClockLog, clock: TP, start: int, end: int, standing: dict[int, PolicyChange]
) -> AsyncIterator[tuple[PolicyChange, PolicyWithdrawal | None]]:
    """Bring ``standing``, the switches by their times as they were at ``start``, to what they were at ``end``.

    Each that came, or, with its withdrawal, went. Unavailable, Refused.
    """
    async for _, _, note in clocklog.journal_entries(cluster, clock, start, end, having=_TAGS):
        if isinstance(note, PolicyChange) and note.from_ms not in standing:
            standing[note.from_ms] = note
            yield note, None
        elif isinstance(note, PolicyWithdrawal) and note.from_ms in standing:
            yield standing.pop(note.from_ms), note


def newest(found: Mapping[int, LoggedPolicies]) -> PolicyVersion | None:
    """The policy that was noted last of all, with its time; None where none was. Refused where it cannot be read."""
    every = [switch for one in found.values() for switch in one.switches]
    if not every:
        return None
    last = max(every, key=lambda switch: switch.from_ms)
    return PolicyVersion(last.from_ms, _read(last))


def lateness_ms(found: Mapping[int, LoggedPolicies], otherwise_ms: int) -> int:
    """How long late calls are waited for at most, by the policies that hold or are to come.

    ``otherwise_ms``: where a partition has noted none that holds. Refused where one cannot be read.
    """
    longest_ms = 0
    for one in found.values():
        holds = [switch for switch in one.switches if switch.from_ms <= one.judged_ms][-1:]
        every = [_read(switch).lateness_ms for switch in (*holds, *one.coming)]
        longest_ms = max(longest_ms, *every, 0 if holds else otherwise_ms)
    return longest_ms


def _read(switch: PolicyChange) -> Policy:
    try:
        return from_plain(switch.policy, switch.sha256)
    except PolicyError as error:
        raise PermanentError(f"expected a policy that this release can read: {error}") from None


def earliest(last: PolicyVersion | None, from_ms: int) -> int:
    """From when a policy holds that is to from ``from_ms`` on: it follows the ``last``."""
    return next_change_ms(from_ms if last is None else max(from_ms, last.from_ms + 1))


def in_the_way(found: Mapping[int, LoggedPolicies], from_ms: int) -> PolicyChange | None:
    """The last of those still to come that a policy would follow, though it is to hold before."""
    later = [switch for one in found.values() for switch in one.coming if switch.from_ms >= next_change_ms(from_ms)]
    return max(later, key=lambda switch: switch.from_ms, default=None)
