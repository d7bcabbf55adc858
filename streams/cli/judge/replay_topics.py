"""`callwarden replay --from-topics`: judges all that the input topics hold."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from monitor.core.threshold_distance import DistanceOptions
    from monitor.policy.model import Policy
    from monitor.replay.outcome import Outcome
    from streams.cli.judge.progress import Reporter
    from streams.kafka.cluster import KafkaCluster
    from streams.settings.load import Settings


def topic_settings(
    bootstrap: str | None, policy: str | None, key_file: Path | None, enforce_from: str | None
) -> "Settings":
    """The settings of the workers, with those options of the command line that were given."""
    from streams.cli.inputs import settings_for

    return settings_for(
        {
            "bootstrap_servers": bootstrap,
            "policy": policy,
            "key_file": key_file,
            "enforce_from_ms": enforce_from,
        }
    )


def judge_topics(
    settings: "Settings",
    to_watermark: bool,
    distances: "DistanceOptions | None",
    reporter: "Reporter",
) -> "tuple[Outcome, Policy]":
    """The outcome of the topics, and the policy."""
    from dataclasses import replace

    from streams.cli.cluster_session import operate
    from streams.cli.inputs import policy_for
    from streams.kafka.cluster import KafkaCluster
    from streams.kafka.topic_names import TopicNames
    from streams.ops.topic_replay import TopicReplayOptions, replay_topics
    from streams.topics.state_inputs import check_inputs

    ruled = policy_for(str(settings.policy) if settings.policy else None)

    def warn(warning: str) -> None:
        typer.echo(f"warning: {warning}", err=True)

    async def judge(cluster: KafkaCluster) -> "Outcome":
        # Checked before the logs are read: a worker that has left by then has no transaction under way.
        if at_work := await _at_work(cluster, settings.application_id):
            warn(
                f"{at_work}: a worker records a clock that it has moved with its next transaction, so records after "
                "the last transaction may be judged differently here. To compare decisions, stop the workers first"
            )
        names = TopicNames.from_settings(settings)
        await check_inputs(cluster, names)
        return await replay_topics(
            cluster,
            names,
            ruled,
            replace(
                TopicReplayOptions.from_settings(settings),
                enforce_from_ms=settings.enforce_from_ms or 0,
                to_watermark=to_watermark,
                distance_options=distances,
            ),
            progress=reporter.update,
            warn=warn,
        )

    with reporter:
        return operate("replay", settings, judge), ruled


async def _at_work(cluster: "KafkaCluster", group: str) -> str | None:
    """A message that workers run, or may run; None if none does."""
    from streams.kafka.admin import members
    from streams.kafka.api import PermanentError

    try:
        count = await members(cluster.questions, group)
    except PermanentError as refused:
        return f"workers may be at work ({refused})"
    return f"{count} worker{' is' if count == 1 else 's are'} at work" if count else None
