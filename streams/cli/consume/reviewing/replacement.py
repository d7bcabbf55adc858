"""Earlier verdicts without effect that a new one replaces, once the reviewer has seen them."""

from typing import TYPE_CHECKING

import typer

from streams.runtime.wall_clock import epoch_ms

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from streams.consumers.ledger.queries.cases import LedgerCase
    from streams.kafka.cluster import KafkaCluster
    from streams.reviews.reservations import Replace as Replacing
    from streams.reviews.reservations import Reservation
    from streams.settings.load import Settings

_MARGIN_MS = 5 * 60_000  # for commits that take long and clocks that differ, on top of what the watermark waits; chosen


def replaced_verdict(decision: str, settings: "Settings", yes: bool) -> "Replacing":
    """The verdict to replace, if there is one, after the reviewer has seen it and agreed."""
    from rich.console import Console

    from streams.cli.consume.case_format import claim_line
    from streams.cli.consume.reviewing.review_session import look_up
    from streams.consumers.ledger.queries.lookup import case_of
    from streams.reviews.reservations import Replace, claims_on

    def look(connection: "Connection") -> "tuple[LedgerCase | None, dict[str, Reservation]]":
        case = case_of(connection, decision)
        return case, claims_on(connection, [case] if case else [])

    case, claims = look_up("reviews", settings, look)
    replacing = Replace(claims, patience_ms(settings))
    for claim in replacing.seen.values():
        if replacing.replaces(claim, epoch_ms()):
            for line in claim_line(claim, settings.display, case):
                Console(highlight=False).print(line, soft_wrap=True)
            if not yes:
                typer.confirm("以新的结论取代？/ Replace this verdict?", abort=True)
    return replacing


def patience_ms(settings: "Settings") -> int:
    """For how long something may still come of a verdict: the watermark waits for late calls, and for a feed."""
    from streams.cli.cluster_session import operate
    from streams.cli.inputs import policy_for
    from streams.kafka.topic_names import TopicNames
    from streams.ops.control_client import partition_count
    from streams.topics.policy_log import LoggedPolicies, lateness_ms, logged_policies

    names = TopicNames.from_settings(settings)

    async def look(cluster: "KafkaCluster") -> dict[int, LoggedPolicies]:
        return await logged_policies(cluster, names, range(await partition_count(cluster, names)))

    policy = policy_for(str(settings.policy) if settings.policy else None)
    waits_ms = lateness_ms(operate("reviews", settings, look), policy.lateness_ms)
    return waits_ms + settings.outage_grace_ms + _MARGIN_MS
