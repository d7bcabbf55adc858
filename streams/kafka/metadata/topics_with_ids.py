"""Topics with their ids: metadata requests of version 10 (Kafka 2.8); aiokafka 0.14 has them up to version 5.

A request does not create a topic, whatever the broker's settings.
"""

from collections.abc import Collection
from io import BytesIO
from typing import Any, Final
from uuid import UUID

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    IncompatibleBrokerVersion,
    LeaderNotAvailableError,
    NoError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    AbstractType,
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

from streams.kafka.aiokafka_private import send_request
from streams.kafka.api import TopicInfo

_ANY: Final = bytes(16)  # no id: the topic is requested by name
_EXISTS: Final = (NoError, LeaderNotAvailableError)
_WRITE: Final = 1 << 4  # of a topic's authorized operations
_ABSENT: Final = (UnknownTopicOrPartitionError, TopicAuthorizationFailedError)


class _Uuid(AbstractType[bytes]):  # type: ignore[misc]  # aiokafka has no types
    """16 bytes."""

    @classmethod
    def encode(cls, value: bytes) -> bytes:
        return value

    @classmethod
    def decode(cls, data: BytesIO) -> bytes:
        return data.read(16)


class _Response(Response):  # type: ignore[misc]  # as above
    API_KEY = 3
    API_VERSION = 10
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", CompactString("utf-8")),
                ("port", Int32),
                ("rack", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", CompactString("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("topic", CompactString("utf-8")),
                ("topic_id", _Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("authorized_operations", Int32),
        ("tags", TaggedFields),
    )


class _Struct(RequestStruct):  # type: ignore[misc]  # as above
    FLEXIBLE_VERSION = True
    API_KEY = 3
    API_VERSION = 10
    RESPONSE_TYPE = _Response
    SCHEMA = Schema(
        ("topics", CompactArray(("topic_id", _Uuid), ("topic", CompactString("utf-8")), ("tags", TaggedFields))),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class _Request(Request[_Struct]):  # type: ignore[misc]  # as above
    API_KEY = 3

    def __init__(self, topics: Collection[str], operations: bool = False) -> None:
        self._topics, self._operations = topics, operations

    def build(self, request_struct_class: type[_Struct]) -> _Struct:
        topics: list[tuple[bytes, str, dict[int, bytes]]] = [(_ANY, topic, {}) for topic in self._topics]
        return request_struct_class(topics, False, False, self._operations, {})

    def prepare(self, versions: dict[int, tuple[int, int]]) -> _Struct:
        """As every request. Raises IncompatibleBrokerVersion if the broker is too old."""
        try:
            prepared: _Struct = super().prepare(versions)
            return prepared
        except NotImplementedError:
            raise IncompatibleBrokerVersion("the broker has no topic ids: expected Kafka 2.8 or later") from None


async def describe(admin: AIOKafkaAdminClient, topics: Collection[str]) -> dict[str, TopicInfo]:
    """The topics that exist and that we may describe. Raises KafkaError."""
    answer: Any = await send_request(admin, _Request(topics))
    found = {}
    for code, topic, topic_id, _internal, partitions, *_ in answer.topics:
        error = for_code(code)
        if error in _EXISTS:
            found[topic] = TopicInfo(len(partitions), str(UUID(bytes=topic_id)))
        elif error not in _ABSENT:
            raise error(topic)
    return found


async def not_writable(admin: AIOKafkaAdminClient, topics: Collection[str]) -> list[str]:
    """The existing ones of these topics that we may not write to. Raises KafkaError."""
    answer: Any = await send_request(admin, _Request(topics, operations=True))
    found = []
    for code, topic, _id, _internal, _partitions, operations, _tags in answer.topics:
        # Whoever sees a topic may describe it. A broker that does not know the operations returns a negative number.
        if for_code(code) in _EXISTS and operations > 0 and not operations & _WRITE:
            found.append(topic)
    return sorted(found)
