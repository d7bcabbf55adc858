"""What `reviews uphold` and `overturn` share: the review service, with the ledger read up to the ends of the topics."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

import typer

from monitor.text.masking import mask_text
from streams.cli.cluster_session import operate
from streams.consumers.ledger.access import database_of
from streams.kafka.topic_names import TopicNames
from streams.reviews.rejections import RejectedReviews
from streams.reviews.sender_context import SenderContext, writing_to
from streams.reviews.service import ReviewService

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from streams.consumers.database import Database
    from streams.kafka.api import TP
    from streams.kafka.cluster import KafkaCluster
    from streams.reviews.reservations import Reservation
    from streams.settings.load import Settings

T = TypeVar("T")


def look_up(command: str, settings: "Settings", look: "Callable[[Connection], T]") -> T:
    """What ``look`` finds in the ledger once that is up to the topics' ends, before a verdict."""

    async def work(_: ReviewService, ledger: "Database", __: "KafkaCluster") -> T:
        with ledger.reading() as connection:
            return look(connection)

    return _with_service(command, settings, work)


def decide(command: str, settings: "Settings", give: "Callable[[ReviewService, KafkaCluster], Awaitable[T]]") -> T:
    """The result of giving verdicts."""

    async def work(service: ReviewService, _: "Database", cluster: "KafkaCluster") -> T:
        from streams.topics.state_inputs import check_inputs

        await check_inputs(cluster, TopicNames.from_settings(settings))
        return await give(service, cluster)

    return _with_service(command, settings, work)


def _with_service(
    command: str, settings: "Settings", work: "Callable[[ReviewService, Database, KafkaCluster], Awaitable[T]]"
) -> T:
    def logs() -> None:
        from streams.runtime.logging import set_up_logs

        set_up_logs(settings.log_format, settings.log_level, settings.mask_ids)

    async def begin(cluster: "KafkaCluster") -> T:
        ledger = database_of(settings)
        try:
            names = TopicNames.from_settings(settings)
            writing = writing_to(cluster, settings.application_id)
            context = SenderContext(cluster, ledger, names, settings.partitioner, writing)
            service = ReviewService(context, logs)
            await service.begin()

            async def since(at_ms: int, searched: "Mapping[TP, int]") -> RejectedReviews:
                rejections = RejectedReviews(cluster, names)
                await rejections.begin(at_ms, searched)
                return rejections

            _tell_rejected(await service.settle(since))
            return await work(service, ledger, cluster)
        finally:
            ledger.close()

    return operate(command, settings, begin)


def _tell_rejected(claims: "list[Reservation]") -> None:
    for claim in claims:
        typer.echo(
            f"{claim.enforcement_id}: the worker has rejected the verdict of {mask_text(claim.reviewer)} to "
            f"{claim.verdict} it: {claim.withdrawn}; give another verdict",
            err=True,
        )
