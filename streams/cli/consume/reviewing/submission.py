"""Gives verdicts, and prints what becomes of them."""

from typing import TYPE_CHECKING, NamedTuple

import typer

from streams.cli.consume.reviewing.replacement import replaced_verdict
from streams.cli.consume.reviewing.signing import signing_key
from streams.runtime.wall_clock import epoch_ms

if TYPE_CHECKING:
    from monitor.policy.model import OpenKind
    from streams.kafka.cluster import KafkaCluster
    from streams.reviews.reservations import Replace as Replacing
    from streams.reviews.service import ReviewService
    from streams.reviews.validation import Verdict
    from streams.settings.load import Settings

_TOLD_MS = 86_400_000  # decisions that come later are of a worker that catches up: nothing is to be said by them


class VerdictOptions(NamedTuple):
    """The options of a verdict: its reason, its reviewer, how long to wait for it, and the kind that it chooses."""

    reason: str
    reviewer: str | None
    wait: float
    kind: "OpenKind | None" = None


def submit_one(
    verdict: "Verdict", decision: str, by: VerdictOptions, replace: bool, yes: bool, settings: "Settings"
) -> None:
    """Give a verdict on one decision."""
    from streams.cli.inputs import checked_reason

    checked_reason(by.reason)
    submit(verdict, [decision], by, replaced_verdict(decision, settings, yes) if replace else None, settings)


def submit(
    verdict: "Verdict", ids: list[str], by: VerdictOptions, replacing: "Replacing | None", settings: "Settings"
) -> None:
    """Give a verdict on each of these decisions, and print what becomes of it. Exits with 1 if one is refused."""
    from rich.console import Console

    from streams.cli.consume.case_format import event_lines
    from streams.cli.consume.reviewing.review_session import decide
    from streams.cli.inputs import operator_name
    from streams.kafka.topic_names import TopicNames
    from streams.reviews.rejections import RejectedReviews
    from streams.reviews.reservations import ReviewedBy
    from streams.reviews.service import ReviewOutcomes, SubmittedReviews

    key = signing_key(settings)
    who, wait = ReviewedBy(operator_name("--by", by.reviewer), by.reason, key), by.wait

    async def give(
        service: "ReviewService", cluster: "KafkaCluster"
    ) -> tuple[SubmittedReviews, ReviewOutcomes, int | None]:
        rejections = RejectedReviews(cluster, TopicNames.from_settings(settings))
        if wait:
            await rejections.begin()
        given = await service.give(ids, verdict, who, again=replacing, kind=by.kind)
        for why in given.refused.values():
            typer.echo(str(why), err=True)
        if given.claims:
            by_whom = settings.display.text(who.reviewer)
            signed = "" if key is None else f", signed by {key.name}"
            typer.echo(f"已提交 {len(given.claims)} 个复核结论 / sent: {len(given.claims)} by {by_whom}{signed}")
        outcomes = await service.outcomes(given.claims, wait, rejections.read_new) if wait else ReviewOutcomes()
        return given, outcomes, await service.delay_ms()

    given, outcomes, delay_ms = decide(f"reviews {verdict}", settings, give)
    console = Console(highlight=False)
    for events in outcomes.events.values():
        for event in events:
            for line in event_lines(event, settings.display):
                console.print(line, soft_wrap=True)
    for event_id, why in outcomes.rejected.items():
        typer.echo(f"{event_id}: the worker has rejected it: {why}", err=True)
    open_ = len(given.claims) - len(outcomes.events) - len(outcomes.rejected)
    if open_:
        typer.echo(_waiting(open_, delay_ms))
    if given.refused or outcomes.rejected:
        if len(ids) > 1:  # of one decision its own line has said so
            typer.echo(f"{len(given.refused) + len(outcomes.rejected)} of {len(ids)} not given", err=True)
        raise typer.Exit(1)


def _waiting(count: int, delay_ms: int | None) -> str:
    """A line for verdicts without effect yet, with the time at which they take effect, estimated from decisions."""
    from monitor.text.timestamps import instant

    zh, en = "待水位线越过现在时刻", "takes effect once the watermark has passed the current time"
    if delay_ms is not None and delay_ms < _TOLD_MS:
        about = instant(epoch_ms() + delay_ms + 60_000)  # the minute after it
        zh, en = f"约于 {about} 生效", f"takes effect about {about}"
    return f"{count} 个尚未生效，{zh} / {count} not decided yet: {en}; `callwarden reviews show ID` shows the state"
