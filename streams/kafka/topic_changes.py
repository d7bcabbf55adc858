"""Detects topics that were deleted, created again or given more partitions since a worker started."""

from collections.abc import Mapping
from typing import Final

from streams.kafka.api import TopicInfo
from streams.kafka.topic_names import TopicNames
from streams.wording.topic_wording import topic_text

GROWN_PAGE: Final = "docs/guides/runbook.md#a-topic-has-more-partitions"
_REREAD: Final = ("control", "state")  # besides the inputs, the topics in which owners have a position


class TopicChanges:
    """Compares the topics' metadata from check to check.

    A fault counts once two checks in a row have seen it: a broker that has just started may not know every topic yet.
    ``halting`` are the faults with which no partition can work, ``unread`` those that leave records unread; each by
    topic, in one sentence that says what to do. ``suspected``: the last check saw a change for the first time.
    """

    def __init__(self, names: TopicNames, partitions: int) -> None:
        self._names, self._partitions = names, partitions
        self._ids: dict[str, str] = {}
        self._seen: dict[str, str] = {}
        self.halting: dict[str, str] = {}
        self.unread: dict[str, str] = {}
        self.suspected = False

    @property
    def faults(self) -> list[str]:
        """All confirmed faults."""
        return [*self.halting.values(), *self.unread.values()]

    def record(self, found: Mapping[str, TopicInfo]) -> bool:
        """Record the existing topics; returns whether one that owners read was created again since the last check."""
        halting, unread = self._halting(found), self._unread(found)
        seen = {**halting, **unread}
        self.halting = {topic: why for topic, why in halting.items() if self._seen.get(topic) == why}
        self.unread = {topic: why for topic, why in unread.items() if self._seen.get(topic) == why}
        self.suspected = seen != self._seen
        self._seen = seen
        read = [*self._names.inputs, *map(self._names.output, _REREAD)]
        recreated = any(t in found and self._ids.get(t, found[t].id) != found[t].id for t in read)
        self._ids |= {topic: one.id for topic, one in found.items()}
        return recreated

    def _halting(self, found: Mapping[str, TopicInfo]) -> dict[str, str]:
        faults = {}
        for topic in self._names.all:
            if topic not in found:
                faults[topic] = topic_text("deleted", topic=topic, restored=self._restored(topic))
            elif found[topic].partitions < self._partitions and topic != self._names.owners.topic:
                count, most = found[topic].partitions, self._partitions
                command = f"kafka-topics.sh --bootstrap-server SERVER --alter --topic {topic} --partitions {most}"
                values = {"topic": topic, "found": count, "expected": most, "command": command}
                faults[topic] = topic_text("fewer_partitions", **values)
        return faults

    def _restored(self, topic: str) -> str:
        if topic in self._names.inputs:
            return topic_text("create_input")
        return topic_text("create_state" if topic == self._names.output("state") else "create")

    def _unread(self, found: Mapping[str, TopicInfo]) -> dict[str, str]:
        count = self._partitions
        return {
            topic: topic_text(
                "more_partitions",
                topic=topic,
                found=found[topic].partitions,
                expected=count,
                first=count,
                page=GROWN_PAGE,
            )
            for topic in (*self._names.inputs, self._names.output("control"))
            if topic in found and found[topic].partitions > count
        }
