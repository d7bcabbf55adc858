"""Describes topics and groups, and creates topics."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.coordinator.protocol import ConsumerProtocolMemberMetadata
from aiokafka.errors import (
    BrokerResponseError,
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    InvalidReplicationFactorError,
    NoError,
    NotCoordinatorForGroupError,
    TopicAlreadyExistsError,
    UnknownTopicOrPartitionError,
    for_code,
)

from streams.kafka.api import PermanentError
from streams.kafka.application_id import ConsumerGroup
from streams.kafka.errors import translate_error
from streams.kafka.metadata.queries import MetadataQueries
from streams.kafka.topic_admin import ExistingTopic, RequiredTopic, checked_settings

_COORDINATOR_S = 5.0
_NO_COORDINATOR = (GroupCoordinatorNotAvailableError, GroupLoadInProgressError, NotCoordinatorForGroupError)
_SHARING_OUT = ("PreparingRebalance", "CompletingRebalance")
_AT_LEAST_TWO = {"min.insync.replicas": "2"}


async def existing_topics(questions: MetadataQueries, wanted: Sequence[RequiredTopic]) -> dict[str, ExistingTopic]:
    """The existing ones of the wanted topics, by full name. Raises TransientError and PermanentError."""
    names = dict.fromkeys(checked_settings(wanted))
    counts = await questions.partitions([topic.topic for topic in wanted])

    async def ask(_: AIOKafkaConsumer, admin: AIOKafkaAdminClient) -> dict[str, ExistingTopic]:
        asked = [ConfigResource(ConfigResourceType.TOPIC, topic, names) for topic in counts]
        found = {}
        for answer in await admin.describe_configs(asked) if asked else []:
            for code, message, _kind, topic, entries, *_ in answer.resources:
                error = for_code(code)
                if error is UnknownTopicOrPartitionError:
                    continue  # deleted since
                if error is not NoError:
                    raise translate_error(error(message or topic), f"looking at the settings of topic {topic}")
                found[topic] = ExistingTopic(counts[topic], {name: value for name, value, *_ in entries})
        return found

    return await questions.ask("looking at the topics' settings", ask)


async def topic_config(questions: MetadataQueries, topic: str, name: str) -> str | None:
    """The value of a topic's configuration; None if it has none of that name. Raises as `existing_topics`."""

    async def ask(_: AIOKafkaConsumer, admin: AIOKafkaAdminClient) -> str | None:
        for answer in await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {name: None})]):
            for code, message, _kind, _topic, entries, *_ in answer.resources:
                error = for_code(code)
                if error is not NoError:
                    raise translate_error(error(message or topic), f"looking at the settings of topic {topic}")
                return next((value for found, value, *_ in entries if found == name), None)
        return None

    return await questions.ask("looking at the topic's settings", ask)


async def look_for(
    questions: MetadataQueries, wanted: Sequence[RequiredTopic], within_s: float = 10.0
) -> dict[str, ExistingTopic]:
    """As `existing_topics`, waiting up to ``within_s`` until brokers know all topics that were just created."""
    until = time.monotonic() + within_s
    while len(found := await existing_topics(questions, wanted)) < len(wanted) and time.monotonic() < until:
        await asyncio.sleep(0.2)
    return found


async def members(questions: MetadataQueries, group: str) -> int:
    """The number of members of a consumer group.

    Raises TransientError and PermanentError, the latter also if the group has no coordinator for `_COORDINATOR_S`.
    """

    async def ask(_: AIOKafkaConsumer, admin: AIOKafkaAdminClient) -> int:
        return len((await _described(admin, group))[1])

    return await questions.ask(f"looking at the group {group}", ask)


async def read_group(questions: MetadataQueries, group: str) -> ConsumerGroup:
    """The members of a consumer group and its committed topics. Raises TransientError and PermanentError.

    Members are known once a rebalance has ended; waits for that up to `_COORDINATOR_S`.
    """

    async def ask(_: AIOKafkaConsumer, admin: AIOKafkaAdminClient) -> ConsumerGroup:
        until = time.monotonic() + _COORDINATOR_S
        while True:
            state, found = await _described(admin, group)
            if state not in _SHARING_OUT or time.monotonic() > until:
                break
            await asyncio.sleep(0.2)
        subscriptions = [metadata for _id, _client, _host, metadata, *_ in found if metadata]
        topics_of_each = [ConsumerProtocolMemberMetadata.decode(metadata).subscription for metadata in subscriptions]
        committed = await admin.list_consumer_group_offsets(group)
        return ConsumerGroup(tuple(map(frozenset, topics_of_each)), frozenset(topic for topic, _ in committed))

    return await questions.ask(f"looking at the group {group}", ask)


async def _described(admin: AIOKafkaAdminClient, group: str) -> tuple[str, list[tuple[Any, ...]]]:
    """A group's state and members."""
    until = time.monotonic() + _COORDINATOR_S
    while True:
        try:
            (answer,) = await admin.describe_consumer_groups([group])
            ((code, _name, state, _kind, _protocol, found, *_),) = answer.groups
            if (error := for_code(code)) is not NoError:
                raise error(group)
            return state, found
        except _NO_COORDINATOR as none:  # on a new cluster the request itself creates the coordinator
            if time.monotonic() > until:
                raise PermanentError(f"the group {group} has no coordinator: {type(none).__name__}") from None
        await asyncio.sleep(0.2)


async def create(questions: MetadataQueries, missing: Sequence[RequiredTopic], partitions: int, replicas: int) -> None:
    """Create topics, each with the settings of `required_topics`; existing ones stay as they are.

    ``partitions`` is the number for those that do not name their own.

    Raises TransientError and PermanentError.
    """
    durable = _AT_LEAST_TWO if replicas >= 3 else {}
    new = [
        NewTopic(
            topic.topic,
            partitions if topic.partitions is None else topic.partitions,
            replicas,
            topic_configs={config.name: config.value for config in topic.configs if config.created} | durable,
        )
        for topic in missing
    ]

    async def ask(_: AIOKafkaConsumer, admin: AIOKafkaAdminClient) -> dict[str, str]:
        answer = await admin.create_topics(new)
        fine = (NoError, TopicAlreadyExistsError)
        faults = [(topic, for_code(code), message) for topic, code, message in answer.topic_errors]
        # The same fault of many topics is reported once.
        return {_why(error, message): topic for topic, error, message in faults if error not in fine}

    if new:
        faults = await questions.ask("creating topics", ask)
        if faults:
            raise PermanentError("\n".join(f"{topic} cannot be created: {why}" for why, topic in faults.items()))


def _why(error: type[BrokerResponseError], message: str | None) -> str:
    hint = ""
    if error is InvalidReplicationFactorError:
        hint = " Expected at most the number of brokers: --replication-factor, CALLWARDEN_REPLICATION_FACTOR."
    return f"{message or error.description}{hint}"
