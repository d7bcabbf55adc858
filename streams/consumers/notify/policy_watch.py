"""Follows the clock topic, so that notifications use the same policies as the workers' decisions."""

from typing import Final

import structlog

from monitor.partition.journal import PolicyChange
from monitor.policy.load import PolicyError, from_plain
from monitor.policy.model import Policy
from streams.consumers.notify.rules.rules_by_policy import RulesByPolicy
from streams.consumers.topic_reader import TopicReader
from streams.kafka.api import TP, CorruptLog, OffsetOutOfRange, PermanentError, TransientError
from streams.topics.policy_log import changes

log = structlog.get_logger("callwarden")

_NOT_READ: Final = "the workers' policies cannot be read, notifications use the known ones"


class PolicyLog:
    """Updates ``rules_by_policy`` from the clock topic.

    A record that cannot be read does not stop notifications; it is logged once.
    """

    def __init__(self, cluster: TopicReader, clock: str, rules_by_policy: RulesByPolicy) -> None:
        self._cluster, self._clock, self._rules_by_policy = cluster, clock, rules_by_policy
        self._at: dict[TP, int] = {}
        self._standing: dict[int, dict[int, PolicyChange]] = {}
        self._said: set[str] = set()
        self._logged = False
        rules_by_policy.begun = None

    async def refresh(self) -> None:
        """Read everything recorded by now. Raises TransientError."""
        changed = False
        try:
            ends = await self._ends()
            for tp, end in ends.items():
                changed = await self._read(tp, end) or changed
        except PermanentError as error:
            self._say(_NOT_READ, str(error))
        if changed or not self._logged:
            self._rules_by_policy.follow({number: self._policies(number) for number in self._standing})
            self._logged = True

    async def _ends(self) -> dict[TP, int]:
        if not self._at:
            count = (await self._cluster.partitions([self._clock])).get(self._clock, 0)
            self._at = await self._cluster.starts([TP(self._clock, number) for number in range(count)])
            self._standing = {number: {} for number in range(count)}
        ends = await self._cluster.ends(list(self._at))
        if any(ends[tp] < at for tp, at in self._at.items()):  # it was recreated
            self._at = {}
            return await self._ends()
        return ends

    async def _read(self, tp: TP, end: int) -> bool:
        """Read up to ``end``. Returns whether there was anything new."""
        changed, start = False, self._at[tp]
        if start == end:
            return False
        try:
            async for _ in changes(self._cluster, tp, start, end, self._standing[tp.partition]):
                changed = True
        except (PermanentError, CorruptLog) as error:
            self._say(_NOT_READ, str(error))
        except OffsetOutOfRange as error:
            self._at = {}
            raise TransientError(str(error)) from None
        else:
            self._at[tp] = end
        return changed

    def _policies(self, number: int) -> list[tuple[int, Policy]]:
        found = []
        for from_ms, switch in sorted(self._standing[number].items()):
            try:
                found.append((from_ms, from_plain(switch.policy, switch.sha256)))
            except PolicyError as error:
                self._say("this release cannot read a policy, notifications use the one before it", str(error))
        return found

    def _say(self, what: str, why: str) -> None:
        if why not in self._said:
            self._said.add(why)
            log.warning(what, why=why)
