"""Runs the notifier: follows the topics, checks timers, and empties the outbox to each channel independently."""

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

import aiohttp
import structlog

from monitor.policy.model import Policy
from streams.consumers.database import Database
from streams.consumers.follower import Follower, FollowerHooks
from streams.consumers.notify import outbox
from streams.consumers.notify.channels import configured
from streams.consumers.notify.delivery.sender import Sender
from streams.consumers.notify.handler import NotifyHandler
from streams.consumers.notify.policy_watch import PolicyLog
from streams.consumers.notify.rules.rules_by_policy import RulesByPolicy
from streams.consumers.notify.rules.throttle import Throttle
from streams.consumers.notify.tables import POSITIONS
from streams.consumers.notify.telemetry import NOTHING, NotifyMetrics
from streams.consumers.service import FollowedTopics, host, lag_reason, once_available, pages_app, until_one_ends
from streams.kafka.api import PermanentError, TransientError
from streams.kafka.cluster import KafkaCluster
from streams.runtime.retry import Backoff
from streams.runtime.wall_clock import epoch_ms
from streams.settings.load import Settings

log = structlog.get_logger("callwarden")

_TICK_S: Final = 1.0
_LONGEST_RETRY_S: Final = 5.0


async def run_notify(settings: Settings, policy: Policy) -> None:
    """Notify until SIGTERM or Ctrl-C; retry unavailable brokers, database and receivers. Raises PermanentError."""
    throttle = Throttle(
        settings.notify_severity, settings.notify_delay_ms, settings.notify_quiet_ms, settings.notify_before_lapse_ms
    )
    topics = [settings.output_prefix + name for name in ("enforcement", "alerts")]
    database = Database(settings.notify_database.get_secret_value(), "notify")
    cluster = KafkaCluster(settings)
    async with aiohttp.ClientSession(trust_env=True) as session:
        channels = configured(settings, session, epoch_ms)
        if not channels:
            raise PermanentError(NOBODY)
        names = [channel.name for channel in channels]
        telemetry, rules_by_policy = NotifyMetrics(names, epoch_ms), RulesByPolicy(policy, throttle, settings.display)
        policies = PolicyLog(cluster, settings.output_prefix + "clock", rules_by_policy)
        consumer = NotifyHandler(
            rules_by_policy, throttle, names, topics[0], epoch_ms, telemetry, summary_hour=settings.notify_summary_hour
        )
        follower = Follower(
            cluster,
            database,
            POSITIONS,
            topics,
            consumer.handle,
            from_end=topics[1:],
            hooks=FollowerHooks(pass_over=consumer.lost, before=policies.refresh),
        )
        telemetry.registry.register(FollowedTopics("notify", follower))

        async def work() -> None:
            await once_available(database.migrate, _LONGEST_RETRY_S)
            await until_one_ends(
                [
                    follower.run(),
                    watch(database, consumer, telemetry, names, lambda: lag_reason(follower) is None),
                    *(
                        Sender(channel, database, epoch_ms, telemetry, display=settings.display).run()
                        for channel in channels
                    ),
                ]
            )

        try:
            app = pages_app(telemetry.registry, lambda: lag_reason(follower))
            address = settings.web_host, settings.notify_port
            within_s, registry = settings.stop_within_ms / 1000, telemetry.registry
            await host([work()], app, address, "CALLWARDEN_NOTIFY_PORT", within_s, registry)
        finally:
            await cluster.stop()
            database.close()


NOBODY: Final = (
    "no notification channel is set, nothing will be sent; expected CALLWARDEN_NOTIFY_ALERTMANAGER_URLS, "
    "_DINGTALK_URL, _FEISHU_URL, _WECOM_URL, or _WEBHOOK_URL with _WEBHOOK_SECRET"
)


async def watch(
    database: Database,
    consumer: NotifyHandler,
    telemetry: NotifyMetrics,
    names: Iterable[str],
    current: Callable[[], bool],
) -> None:
    """Run the timers and refresh the queue metrics until cancelled. ``current``: whether the follower is up to date."""
    nobody_s: set[str] = set()
    backoff = Backoff(longest_s=_LONGEST_RETRY_S)
    while True:
        try:
            await database.run(partial(consumer.tick, current=current()))
            queues = await database.run(outbox.queues)
        except TransientError as error:
            delay_s = backoff.next_s()
            log.warning("waiting", why=str(error), again_in_s=delay_s)
            await asyncio.sleep(delay_s)
            continue
        backoff.reset()
        telemetry.queues = dict.fromkeys(names, NOTHING) | queues
        for channel in queues.keys() - set(names) - nobody_s:
            nobody_s.add(channel)
            log.warning("messages wait for a channel that is no longer set", channel=channel)
        await asyncio.sleep(_TICK_S)
