"""The billing process: follows the topic into the database, and serves the API from it."""

import ipaddress
import sys
from collections.abc import Sequence
from typing import NamedTuple

import structlog
from prometheus_client import CollectorRegistry

from streams.consumers.billing import tokens
from streams.consumers.billing.api import AnswerSources, make
from streams.consumers.billing.gaps import accept
from streams.consumers.billing.handler import Handler
from streams.consumers.billing.holds import RefundHold
from streams.consumers.billing.lookup import Lookup
from streams.consumers.billing.tables import POSITIONS
from streams.consumers.billing.telemetry import BillingMetrics
from streams.consumers.database import Database
from streams.consumers.follower import Follower
from streams.consumers.service import FollowedTopics, host, lag_reason, once_available, pages, until_one_ends
from streams.consumers.topic_reader import TopicReader
from streams.kafka.api import TP, PermanentError, TransientError
from streams.runtime.http_timing import timed
from streams.runtime.wall_clock import epoch_ms
from streams.settings.load import Settings, variable
from streams.wording.consumer_wording import consumer_text

log = structlog.get_logger("callwarden")

_LONGEST_RETRY_S = 1.0
# With Python's default of 5 ms, a writing thread would delay answers by that long at each of their reads and writes.
_SWITCH_S = 0.0005


class Accepted(NamedTuple):
    """An operator accepts that a partition's records before ``offset`` are lost, and the reason."""

    partition: int
    offset: int
    reason: str


async def run(settings: Settings, cluster: TopicReader, accepted: Sequence[Accepted] = ()) -> None:
    """Follow and serve until a stop is requested. Raises PermanentError (including `RecordsLost`) or CorruptLog."""
    allowed = tokens.of(settings)
    if allowed is None and not _is_loopback(settings.web_host):
        raise PermanentError(
            f"{variable('billing_auth')}=none lets anyone query who can reach {settings.web_host}; expected tokens, "
            f"or a loopback address such as 127.0.0.1 as {variable('web_host')}"
        )
    sys.setswitchinterval(_SWITCH_S)
    database = Database(settings.billing_database.get_secret_value(), "billing")
    try:
        await Billing(settings, cluster, database).host(allowed, accepted)
    finally:
        database.close()


class Billing:
    """The components of one billing process."""

    def __init__(self, settings: Settings, cluster: TopicReader, database: Database) -> None:
        self._settings, self._cluster, self._database = settings, cluster, database
        self._topic = f"{settings.output_prefix}enforcement"
        self._registry = CollectorRegistry()
        self._telemetry = BillingMetrics(self._registry)
        handler = Handler(self._telemetry.handled)
        self.follower = Follower(cluster, database, POSITIONS, [self._topic], handler)
        self._registry.register(FollowedTopics("billing", self.follower))
        self._lookup = Lookup(database, self.follower)
        self._has_tables = False

    async def host(self, allowed: tokens.Tokens | None, accepted: Sequence[Accepted]) -> None:
        """Follow and serve."""
        settings = self._settings
        sources = AnswerSources(self._holds, self.follower.progress, settings.billing_stale_after_ms)
        app = make(sources, allowed, pages(self._registry, self._not_ready))
        address = (settings.web_host, settings.billing_port)
        try:
            answering, within_s = timed(app, self._telemetry.seconds), settings.stop_within_ms / 1000
            await host([self._work(accepted)], answering, address, variable("billing_port"), within_s, self._registry)
        finally:
            self._lookup.close()

    def _not_ready(self) -> str | None:
        why = lag_reason(self.follower, self._settings.billing_stale_after_ms / 1000)
        if why is None and self._telemetry.unread_of_any_tenant:
            return consumer_text("any_tenant_unread")
        return why

    async def _work(self, accepted: Sequence[Accepted]) -> None:
        await self._prepare(accepted)
        await until_one_ends([self.follower.run(), self._telemetry.refresh(self._database)])

    async def _prepare(self, accepted: Sequence[Accepted]) -> None:
        """Create or migrate the tables and skip accepted gaps; retry while a dependency is unavailable."""

        async def prepare() -> None:
            await self._database.migrate()
            self._has_tables = True
            for gap in accepted:
                tp, now_ms = TP(self._topic, gap.partition), epoch_ms()
                await accept(self._cluster, self._database, tp, gap.offset, gap.reason, now_ms)

        await once_available(prepare, _LONGEST_RETRY_S)

    async def _holds(self, tenant_id: str) -> list[RefundHold]:
        if not self._has_tables:
            raise TransientError("the database cannot be reached yet")
        return await self._lookup.holds(tenant_id)


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"
