"""A group's committed offsets: requests of version 7 (Kafka 2.5), which see no offset of a transaction in progress.

aiokafka 0.14 has them up to version 3, by which a broker may answer with the offset before a transaction that has
already been acknowledged: an owner would read the same records again.
"""

from collections.abc import Collection
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import IncompatibleBrokerVersion, for_code
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    TaggedFields,
)

from streams.kafka.aiokafka_private import send_request
from streams.kafka.api import TP, CommittedOffset, TransientError

_UNSTABLE: Final = 88  # UNSTABLE_OFFSET_COMMIT, which aiokafka does not know


class _Response(Response):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = 9
    API_VERSION = 7
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "topics",
            CompactArray(
                ("topic", CompactString("utf-8")),
                (
                    "partitions",
                    CompactArray(
                        ("partition", Int32),
                        ("offset", Int64),
                        ("leader_epoch", Int32),
                        ("metadata", CompactString("utf-8")),
                        ("error_code", Int16),
                        ("tags", TaggedFields),
                    ),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("error_code", Int16),
        ("tags", TaggedFields),
    )


class _Struct(RequestStruct):  # type: ignore[misc]  # as above
    FLEXIBLE_VERSION = True
    API_KEY = 9
    API_VERSION = 7
    RESPONSE_TYPE = _Response
    SCHEMA = Schema(
        ("group_id", CompactString("utf-8")),
        (
            "topics",
            CompactArray(
                ("topic", CompactString("utf-8")), ("partitions", CompactArray(Int32)), ("tags", TaggedFields)
            ),
        ),
        ("require_stable", Boolean),
        ("tags", TaggedFields),
    )


class _Request(Request[_Struct]):  # type: ignore[misc]  # as above
    API_KEY = 9

    def __init__(self, group: str, tps: Collection[TP]) -> None:
        self._group = group
        self._topics: dict[str, list[int]] = {}
        for topic, partition in tps:
            self._topics.setdefault(topic, []).append(partition)

    def build(self, request_struct_class: type[_Struct]) -> _Struct:
        topics: list[tuple[str, list[int], dict[int, bytes]]] = [
            (topic, partitions, {}) for topic, partitions in self._topics.items()
        ]
        return request_struct_class(self._group, topics, True, {})

    def prepare(self, versions: dict[int, tuple[int, int]]) -> _Struct:
        """As every request. Raises IncompatibleBrokerVersion if the broker is too old."""
        try:
            prepared: _Struct = super().prepare(versions)
            return prepared
        except NotImplementedError:
            raise IncompatibleBrokerVersion("the broker knows no stable offsets: expected Kafka 2.5 or later") from None


async def committed_offsets(admin: AIOKafkaAdminClient, group: str, tps: Collection[TP]) -> dict[TP, CommittedOffset]:
    """The committed offsets of these partitions. Raises KafkaError, and TransientError while one is not decided."""
    coordinator = await admin.find_coordinator(group)
    answer: Any = await send_request(admin, _Request(group, tps), coordinator)
    _check(answer.error_code, group)
    found = {}
    for topic, partitions, *_ in answer.topics:
        for partition, offset, _epoch, note, error_code, *_ in partitions:
            _check(error_code, group)
            if offset >= 0:
                found[TP(topic, partition)] = CommittedOffset(offset, note or "")
    return found


def _check(error_code: int, group: str) -> None:
    if error_code == _UNSTABLE:
        raise TransientError(f"an offset of group {group} is being committed")
    if error_code:
        raise for_code(error_code)(group)
