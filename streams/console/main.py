"""The console process: follows the topics into its database, and serves the pages from it."""

import gc
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from streams.console.app import make
from streams.console.cases.sending import Sign, VerdictSending
from streams.console.changes import ChangeWatch
from streams.console.cluster_reports import ClusterReports
from streams.console.context import ConsoleContext
from streams.console.evidence.fetcher import EvidenceFetcher
from streams.console.identity.components import Identity
from streams.console.identity.links.sign_in_links import SignInLinks
from streams.console.identity.users import User
from streams.console.intake.handler import CaseIntake, followed_topics
from streams.console.outbox import OutboxSender
from streams.console.pages.policies import previews
from streams.console.policies.sending import PolicySending
from streams.console.previews.runner import PreviewRunner
from streams.console.retention import RowCleanup
from streams.console.security_headers import with_security_headers
from streams.console.tables import POSITIONS
from streams.console.telemetry import ConsoleMetrics
from streams.consumers.database import Database
from streams.consumers.follower import Follower, FollowerHooks
from streams.consumers.service import FollowedTopics, host, lag_reason, once_available, pages, until_one_ends
from streams.kafka.api import PermanentError
from streams.kafka.cluster import KafkaCluster
from streams.kafka.topic_names import TopicNames
from streams.kafka.write_rights import WriteRights
from streams.reviews.rejections import RejectedReviews
from streams.reviews.sender_context import SenderContext, writing_to
from streams.reviews.signatures import SIGNATURE_HEADER, KeyFileError, load_signing_key, sign
from streams.runtime.http_connection import ConnectionLimits
from streams.runtime.http_server import ServerOptions, usual_limits
from streams.runtime.http_timing import timed
from streams.runtime.wall_clock import epoch_ms
from streams.settings.load import Settings, variable

NAME: Final = "console"
PACKAGE: Final = "streams.console"
_LONGEST_RETRY_S: Final = 1.0
_REQUEST_S: Final = 90.0
_BODY_BYTES: Final = 2 << 20
# With Python's default of 5 ms, a writing thread would delay answers by that long at each of their reads and writes.
_SWITCH_S: Final = 0.0005


def open_database(settings: Settings) -> Database:
    """The console's database. Raises PermanentError if its address is wrong."""
    return Database(settings.console_database.get_secret_value(), NAME, package=PACKAGE)


ShowLink = Callable[[User, str], None]
"""Shows a user's new link that signs in once."""


async def run_console(settings: Settings, cluster: KafkaCluster, show_link: ShowLink | None = None) -> None:
    """Follow and serve until a stop is requested. With ``show_link``, links sign two users of its own in.

    Raises PermanentError or CorruptLog.
    """
    sys.setswitchinterval(_SWITCH_S)
    database = open_database(settings)
    try:
        await ConsoleProcess(settings, cluster, database, show_link).host()
    finally:
        database.close()


class ConsoleProcess:
    """The components of one console process."""

    def __init__(
        self, settings: Settings, cluster: KafkaCluster, database: Database, show_link: ShowLink | None = None
    ) -> None:
        self._settings, self._cluster, self._database = settings, cluster, database
        self._telemetry = ConsoleMetrics(epoch_ms)
        names = TopicNames.from_settings(settings)
        intake = CaseIntake(names, self._telemetry, epoch_ms)
        self._follower = Follower(
            cluster,
            database,
            POSITIONS,
            list(followed_topics(names)),
            intake.handle,
            hooks=FollowerHooks(pass_over=intake.pass_over),
        )
        self._telemetry.registry.register(FollowedTopics(NAME, self._follower))
        writing = writing_to(cluster, f"{settings.application_id}-console")
        self._sender = OutboxSender(SenderContext(cluster, database, names, settings.partitioner, writing), epoch_ms)
        # Without these nobody's work is kept. What only an approved change of the policy needs, the console may lack.
        self._rights = WriteRights(cluster, [f"{names.input_prefix}reviews", names.output("actions")])
        self._verdicts = VerdictSending(
            database,
            signing(settings.console_signing_key_file),
            lambda: RejectedReviews(cluster, names),
            epoch_ms,
            self._sender.wake,
        )
        reports = ClusterReports(cluster, settings)
        self._previews = PreviewRunner(settings, database, epoch_ms, self._telemetry)
        self._context = ConsoleContext(
            settings, database, self._telemetry, self._follower.progress, epoch_ms, reports, previews=self._previews
        )
        address = f"http://{settings.web_host}:{settings.console_port}"
        self._links = SignInLinks(address, show_link) if show_link is not None else None
        self._identity = Identity(
            settings, database, epoch_ms, links=self._links, failed=self._telemetry.failed_sign_in
        )
        self._policies = PolicySending(
            cluster,
            database,
            names,
            self._context.policies,
            settings.max_ahead_ms,
            epoch_ms,
            self._sender.wake,
        )
        self._fetcher = EvidenceFetcher(cluster, database, self._telemetry)
        self._has_tables = False

    async def host(self) -> None:
        """Follow and serve."""
        settings, registry = self._settings, self._telemetry.registry
        app = make(self._context, pages(registry, lambda: self._not_ready(app.state.changes)), self._identity)
        address = (settings.web_host, settings.console_port)
        within_s = settings.stop_within_ms / 1000
        work = [self._work(app.state.changes)]
        answering = timed(with_security_headers(app), self._telemetry.seconds, _is_timed)
        options = ServerOptions(limits_of(settings))
        # What was imported stays: to search it for garbage takes 0.13 s, at every other page of a tenant with charts.
        gc.collect()
        gc.freeze()
        await host(work, answering, address, variable("console_port"), within_s, registry, options)

    def _not_ready(self, changes: ChangeWatch) -> str | None:
        if not self._has_tables:
            return "the database cannot be reached yet: see the log"
        if changes.failure is not None:
            return f"the database cannot be reached: {changes.failure}"
        return self._rights.missing or lag_reason(self._follower)

    async def _work(self, changes: ChangeWatch) -> None:
        await once_available(self._database.migrate, _LONGEST_RETRY_S)
        await once_available(self._identity.prepare, _LONGEST_RETRY_S)
        self._has_tables = True
        if self._links is not None:
            self._links.offer(*self._links.users)
        work = [
            self._follower.run(),
            self._rights.run(),
            self._sender.run(),
            self._verdicts.run(),
            self._policies.run(),
            self._identity.run(),
            changes.run(),
            self._fetcher.run(),
            self._previews.run(),
            RowCleanup(self._database, epoch_ms).run(),
        ]
        await until_one_ends(work)


def limits_of(settings: Settings) -> ConnectionLimits:
    """The limits of a console's server: forms of policies are larger than usual, uploads take longer."""
    return replace(
        usual_limits(), request_s=_REQUEST_S, body_bytes=_BODY_BYTES, larger_bodies=previews.upload_limit(settings)
    )


def _is_timed(path: str) -> bool:
    return path not in ("/events", "/healthz", "/readyz", "/metrics")


def signing(file: Path | None) -> Sign:
    """What signs reviews, with the private key in the file; without a file they are not signed.

    Raises PermanentError if it is not usable.
    """
    if file is None:
        return lambda value: ()
    try:
        key = load_signing_key(file)
    except KeyFileError as error:
        raise PermanentError(f"{variable('console_signing_key_file')}: {error}") from None
    return lambda value: ((SIGNATURE_HEADER, sign(value, key)),)
