"""Looks up holds for many concurrent requests: a request that arrives during a query is answered by the next one."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from streams.consumers.billing.holds import RefundHold, State, state
from streams.consumers.billing.unread import AnswerWithheld
from streams.consumers.database import Database
from streams.consumers.follower import Follower

_MOST = 500


class Lookup:
    """Each answer comes from a query that began after the request, so it includes everything committed by then.

    This also holds with several processes on one database; nothing is cached. One connection serves all requests. A
    database that has lost commits which the follower had seen gives no answer.
    """

    def __init__(self, database: Database, follower: Follower) -> None:
        self._database, self._follower = database, follower
        self._thread = ThreadPoolExecutor(1, "billing-lookup")
        self._waiting: dict[str, asyncio.Future[State]] = {}
        self._askers: Counter[str] = Counter()
        self._asking: asyncio.Task[None] | None = None

    async def holds(self, tenant_id: str) -> list[RefundHold]:
        """The remaining holds on the tenant's refunds, oldest first. Raises TransientError, including
        `DatabaseRolledBack` and `AnswerWithheld`."""
        loop, at = asyncio.get_running_loop(), self._follower.positions()
        answer = self._waiting.setdefault(tenant_id, loop.create_future())
        if self._asking is None or self._asking.done():
            self._asking = loop.create_task(self._ask())
        self._askers[tenant_id] += 1
        try:
            known = await asyncio.shield(answer)
        finally:
            self._askers[tenant_id] -= 1
            if not self._askers[tenant_id]:  # all requests have ended, perhaps without an answer
                del self._askers[tenant_id]
                self._waiting.pop(tenant_id, None)
        self._follower.check(at, known.positions)
        if (why := known.withheld.get(tenant_id)) is not None:
            raise AnswerWithheld(why.topic, why.partition, why.offset)
        return known.holds[tenant_id]

    def close(self) -> None:
        """Stop the thread. Pending requests are never answered."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _ask(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            asked = {tenant: self._waiting.pop(tenant) for tenant in list(self._waiting)[:_MOST]}
            try:
                known = await loop.run_in_executor(self._thread, self._read, list(asked))
            except Exception as error:  # noqa: BLE001 - it is passed to the requests
                for answer in asked.values():
                    answer.set_exception(error)
                    answer.exception()  # marks it as retrieved: the requests may have ended
            else:
                for answer in asked.values():
                    answer.set_result(known)

    def _read(self, tenants: Sequence[str]) -> State:
        with self._database.reading() as connection:
            if connection.dialect.name == "postgresql":
                # One statement sees one snapshot by itself: BEGIN and ROLLBACK would be two more round trips.
                connection.execution_options(isolation_level="AUTOCOMMIT")
            return state(connection, tenants)
