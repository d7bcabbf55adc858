"""Sends approved requests to the workers: makes the commands of each partition and puts them into the outbox.

The outbox writes each command exactly once. What a partition needs is read from the topics first, as `callwarden policy
apply` and `withdraw` do; the commands and the new state of the request are one transaction, so a process that is killed
in between has sent nothing, and the next one begins again.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import msgspec
import structlog
from sqlalchemy import Connection, Row

from monitor.text.bilingual import Bilingual
from monitor.text.timestamps import rfc3339
from streams.console.policies import requests, texts
from streams.console.policies.in_force import PoliciesInForce
from streams.consumers.database import Database
from streams.kafka.api import TP, Cluster, CorruptLog, OffsetOutOfRange, PermanentError, TransientError
from streams.kafka.topic_names import TopicNames
from streams.ops.control_client import partition_count
from streams.ops.policy_commands import MARGIN_MS, partitions_to_withdraw, plan_change
from streams.runtime.monotonic import steady_s
from streams.topics.control_topic import PolicyCommand, WithdrawCommand
from streams.topics.policy_log import LoggedPolicies, logged_policies
from streams.topics.progress import judged_ms

log = structlog.get_logger("callwarden")

_LOOK_S: Final = 1.0
_JUDGED_EVERY_S: Final = 5.0
_NOT_SCHEDULED: Final = Bilingual("已没有分区安排了该策略", "no partition has it scheduled any more")
_POLICY_ALREADY: Final = Bilingual("所有分区已采用或即将采用该策略", "it is or will be the policy of all partitions")
_BARRED: Final = Bilingual(
    "已安排了自 {since} 起生效的另一策略：请先撤回它", "another policy is scheduled from {since} on: withdraw it first"
)


class PolicySending:
    """Sends what is approved. Several processes with one database may run it."""

    def __init__(
        self,
        cluster: Cluster,
        database: Database,
        names: TopicNames,
        policies: PoliciesInForce,
        max_ahead_ms: int,
        clock: Callable[[], int],
        released: Callable[[], None],
    ) -> None:
        """``released`` is called when records were put into the outbox. ``clock`` gives epoch ms."""
        self._cluster, self._database, self._names = cluster, database, names
        self._policies, self._as_soon_ms = policies, as_soon_ms(max_ahead_ms)
        self._clock, self._released = clock, released
        self._judged_s = float("-inf")

    async def run(self) -> None:
        """Send until cancelled. Failures are logged and retried."""
        while True:
            try:
                await self.send_approved()
                await self._learn_judged()
            except (TransientError, PermanentError, CorruptLog, OffsetOutOfRange) as error:
                log.warning("changes of policy wait", why=str(error))
            await asyncio.sleep(_LOOK_S)

    async def send_approved(self) -> int:
        """Send what is approved; returns how many requests. Raises TransientError and PermanentError."""
        rows = await self._database.run(requests.approved)
        for row in rows:
            count = await partition_count(self._cluster, self._names)
            found = await logged_policies(self._cluster, self._names, range(count))
            await self._database.run(partial(self._send, row=row, found=found))
        if rows:
            self._released()
        return len(rows)

    def _send(self, connection: Connection, row: Row[Any], found: dict[int, LoggedPolicies]) -> None:
        now_ms = self._clock()
        sha256s = msgspec.json.decode(row.sha256s, type=tuple[str, ...])
        signed = {"reason": row.reason, "by": row.given_by, "at_ms": row.at_ms}
        if row.kind == "withdraw":
            numbers = partitions_to_withdraw(found, sha256s)
            if not numbers:
                requests.end(connection, row, "void", _NOT_SCHEDULED)
                return
            requests.send(connection, row, numbers, WithdrawCommand(sha256s, **signed), now_ms)
            return
        wanted_ms = now_ms + self._as_soon_ms if row.from_ms is None else row.from_ms
        plan = plan_change(found, sha256s[0], wanted_ms)
        if not plan.numbers:
            requests.end(connection, row, "void", _POLICY_ALREADY)
        elif plan.barred_by is not None:
            since = rfc3339(plan.barred_by.from_ms, "seconds")
            requests.end(connection, row, "barred", _BARRED.fill(since=since))
        else:
            plain = texts.plain_of(connection, sha256s[0])
            assert plain is not None  # it was stored with the proposal
            command = PolicyCommand(plain, sha256s[0], plan.from_ms, **signed)
            requests.send(connection, row, plan.numbers, command, now_ms)

    async def _learn_judged(self) -> None:
        """Read up to when each partition has judged: a change before that time applies."""
        if steady_s() - self._judged_s < _JUDGED_EVERY_S:
            return
        counts = await self._cluster.partitions([self._names.output("state")])
        for number in range(counts.get(self._names.output("state"), 0)):
            judged = await judged_ms(self._cluster, TP(self._names.output("state"), number))
            self._policies.judged_ms[number] = judged
        self._judged_s = steady_s()


def as_soon_ms(max_ahead_ms: int) -> int:
    """How long after now the soonest time is from which a policy can apply."""
    return max_ahead_ms + MARGIN_MS
