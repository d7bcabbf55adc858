"""Key check: whether a record is in the right topic, with the right key, in the right partition for its tenant."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from monitor.byte_rows import picked
from monitor.decoding.input_topics import CARRIES
from monitor.partition.partitioner import Partitioner, partition_of
from monitor.text.masking import mask_id
from schemas.inputs import Cdr, Record

if TYPE_CHECKING:
    from monitor.decoding.decoded_rows import DecodedRows

_SETTING = {
    "murmur2": "murmur2 (the default of Java's client and of aiokafka; librdkafka: partitioner=murmur2_random)",
    "crc32": "crc32 (librdkafka's default: partitioner=consistent_random)",
}
_MANY_TENANTS = 1_000_000  # the most tenant ids cached as belonging here, to bound the memory


class KeyCheck:
    """Checks records in the topics of partition ``number`` of ``partitions``."""

    def __init__(self, number: int, partitions: int, partitioner: Partitioner) -> None:
        self.number = number
        self.partitions = partitions
        self.partitioner = partitioner
        self._at_home: set[str] = set()

    def check(self, topic: str, decoded: "DecodedRows", keys: Sequence[bytes | None]) -> None:
        """Reject records with the wrong topic (``topic`` is a bare name), the wrong key or the wrong partition."""
        faults: dict[int, str] = {}
        if decoded.calls is not None and len(decoded.call_rows):
            rows = decoded.call_rows
            if Cdr not in CARRIES[topic]:
                faults |= dict.fromkeys(rows.tolist(), self._wrong_topic(topic, "cdr"))
            else:
                # Two comparisons in C cover the usual case: all tenants belong here, and all keys are right.
                if not self._all_lie_here(decoded.names) or not decoded.keyed_by_tenant(keys):
                    for row, tenant in zip(rows.tolist(), decoded.calls.tenant.tolist(), strict=True):
                        if fault := self._fault(decoded.names[tenant], keys[row]):
                            faults[row] = fault
        others = np.array([row for row, _ in decoded.others], np.intp)
        for (row, record), key in zip(decoded.others, picked(keys, others), strict=True):
            if fault := self.fault(topic, record, key):
                faults[row] = fault
        if faults:
            decoded.reject(faults)

    def fault(self, topic: str, record: Record, key: bytes | None) -> str | None:
        """Why one record is rejected, None if it is not."""
        if type(record) not in CARRIES[topic]:
            return self._wrong_topic(topic, str(type(record).__struct_config__.tag))
        return self._fault(record.tenant_id, key)

    def _fault(self, tenant_id: str, key: bytes | None) -> str | None:
        if key != tenant_id.encode():
            given = "got none"
            if key is not None:
                given = f"got {mask_id(key.decode(errors='backslashreplace')[:128])!r}"
            return f"wrong_key: expected the key to be tenant_id {mask_id(tenant_id)!r}, {given}"
        if not self._lies_here(tenant_id):
            home, shown = partition_of(key, self.partitions, self.partitioner), mask_id(tenant_id)
            return (
                f"wrong_partition: expected tenant_id {shown!r} in partition {home} of {self.partitions}, got "
                f"{self.number}: the producer's partitioner must be {_SETTING[self.partitioner]}"
            )
        return None

    def _all_lie_here(self, tenant_ids: Sequence[str]) -> bool:
        return self._at_home.issuperset(tenant_ids) or all(map(self._lies_here, tenant_ids))

    def _lies_here(self, tenant_id: str) -> bool:
        if tenant_id in self._at_home:
            return True
        if partition_of(tenant_id.encode(), self.partitions, self.partitioner) != self.number:
            return False
        if len(self._at_home) >= _MANY_TENANTS:
            self._at_home.clear()
        self._at_home.add(tenant_id)
        return True

    @staticmethod
    def _wrong_topic(topic: str, kind: str) -> str:
        carried = " or ".join(str(one.__struct_config__.tag) for one in CARRIES[topic])
        return f"wrong_topic: expected {carried} in the topic {topic}, got type {kind!r}"
