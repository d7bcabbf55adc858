"""What the pages and the background work of one console process share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from sqlalchemy import Connection
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from streams.console.cluster_reports import ClusterReports
from streams.console.policies.in_force import PoliciesInForce
from streams.console.previews.runner import PreviewRunner
from streams.console.telemetry import ConsoleMetrics
from streams.consumers.database import Database
from streams.consumers.follower import FollowerProgress
from streams.kafka.topic_names import TopicNames
from streams.settings.load import Settings

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ConsoleContext:
    """The components of one console process. ``clock`` gives epoch ms; ``progress``: how far the topics are read.

    ``has_kafka``: whether records are read from Kafka and written to it; the console of a replay has none.
    ``reports``: what is read from Kafka on demand; None where nothing is. ``policies``: which are in force.
    ``notice``: what each page says above everything else, the end of its text's key.
    ``previews`` runs previews of policies; None where none are run. ``review_keys``: the public keys that signed
    reviews are shown against; None without a file of them.
    """

    settings: Settings
    database: Database
    telemetry: ConsoleMetrics
    progress: Callable[[], FollowerProgress]
    clock: Callable[[], int]
    reports: ClusterReports | None = None
    notice: Callable[[], str | None] = lambda: None
    previews: PreviewRunner | None = None
    has_kafka: bool = True
    policies: PoliciesInForce = field(init=False)
    review_keys: Mapping[str, str] | None = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "policies", PoliciesInForce(self.settings))
        object.__setattr__(self, "review_keys", self.settings.review_keys())

    @property
    def names(self) -> TopicNames:
        """The topics' names."""
        return TopicNames.from_settings(self.settings)

    async def read(self, query: Callable[[Connection], T]) -> T:
        """The result of ``query`` on one read-only snapshot, run in a thread. Raises TransientError."""

        def run() -> T:
            with self.database.reading() as connection:
                return query(connection)

        return await run_in_threadpool(run)

    async def write(self, work: Callable[[Connection], T]) -> T:
        """The result of ``work`` in one transaction, which is rolled back if it raises. Raises TransientError."""
        return await self.database.run(work)


def context_of(request: Request) -> ConsoleContext:
    """The context of the process that handles a request; a FastAPI dependency."""
    context: ConsoleContext = request.app.state.console
    return context
