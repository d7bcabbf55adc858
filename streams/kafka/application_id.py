"""Checks the application id: it belongs to one output prefix, for workers of another prefix would fence its writers."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from streams.kafka.topic_names import TopicNames
from streams.settings.load import Settings

USUAL: Final = "callwarden"
"""The default application id of workers before the default followed the output prefix."""


@dataclass(frozen=True, slots=True)
class ConsumerGroup:
    """A consumer group: the topics that each member subscribes to, and those with committed offsets."""

    members: tuple[frozenset[str], ...] = ()
    committed: frozenset[str] = frozenset()


def startup_fault(settings: Settings, mine: ConsumerGroup, usual: ConsumerGroup, begun: bool) -> str | None:
    """Why a worker with these settings must not start; None if it may.

    ``mine`` is the group of its application id, ``usual`` that of `USUAL`; ``begun``: its own topics have records.
    """
    names = TopicNames.from_settings(settings)
    control, own = names.output("control"), settings.application_id
    strangers = [member for member in mine.members if control not in member]
    if strangers:
        return (
            f"workers with the application id {own} write to other outputs: they listen to {_controls(strangers)}; "
            f"expected {control}. Workers that share an id interrupt one another. {_RIGHT}"
        )
    if not begun and not mine.members and mine.committed.intersection(names.inputs):
        return (
            f"the application id {own} has judged these inputs before, but {names.output('state')}, "
            f"{names.output('enforcement')} and {names.output('clock')} are empty: it belongs to workers that write to "
            f"other outputs, and would interrupt them. {_RIGHT}. If those workers no longer exist: "
            f"kafka-consumer-groups.sh --bootstrap-server {settings.bootstrap_servers} --delete --group {own}"
        )
    if own != USUAL and any(control in member for member in usual.members):
        return (
            f"workers with the application id {USUAL} already write to {control}; with the id {own} both would decide; "
            f"expected CALLWARDEN_APPLICATION_ID={USUAL}"
        )
    return None


_RIGHT = "Expected a CALLWARDEN_APPLICATION_ID of its own, or none: then it follows CALLWARDEN_OUTPUT_PREFIX"


def _controls(members: Iterable[frozenset[str]]) -> str:
    heard = {topic for member in members for topic in member}
    return ", ".join(sorted(topic for topic in heard if topic.endswith("control")) or sorted(heard))
