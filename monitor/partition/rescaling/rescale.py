"""Rescaling: converts the states of all partitions to another number of partitions. Each tenant follows its key.

The old partitions were read to their ends and have decided up to one common time. What they had read and not decided is
written to the logs of the new partitions before anything else, sorted by decision time. To a new partition it is input
that it has read before.
"""

from collections.abc import Iterator, Sequence

import msgspec
import numpy as np

from monitor.core.record_places import FormerLog, RecordLogs
from monitor.core.snapshot import decode_names
from monitor.core.split_by_tenant import ELSEWHERE, Numbers
from monitor.partition.checkpoint import PartitionIdentity
from monitor.partition.partitioner import partition_of
from monitor.partition.policy_versions import POLICY, PolicyVersionRef
from monitor.partition.rescaling.compatibility import check_alike, check_complete, merged_policies
from monitor.partition.rescaling.merged_state import fine_panes_from_ms, merged_entries, merged_shard_head
from monitor.partition.rescaling.rescaled_partition import RescaledPartition
from monitor.partition.rescaling.source_partition import KeptRecord, SourcePartition, newest_review_keys


def rescaled(formers: Sequence[SourcePartition], partitions: int) -> Iterator[RescaledPartition]:
    """Yield the new partitions. Raises RescaleError if the old ones are not compatible."""
    check_complete(formers)
    versions, pasts = merged_policies(formers)
    check_alike(formers)
    named = {POLICY + version.policy.sha256 for version in versions}
    policies = {key: value for former in formers for key, value in former.entries.items() if key in named}
    names = [decode_names(former.entries, former.head.shard.tenants) for former in formers]
    partitioner = formers[0].head.place.partitioner
    homes = [[partition_of(name.encode(), partitions, partitioner) for name in some] for some in names]
    former_logs, renumbered_logs = _logs(formers)
    for number in range(partitions):
        mine: list[str] = []
        numbers: list[Numbers] = []
        for some, at in zip(names, homes, strict=True):
            own = np.full(len(some), ELSEWHERE, np.int32)
            here = [tenant for tenant, home in enumerate(at) if home == number]
            own[here] = np.arange(len(mine), len(mine) + len(here))
            mine += [some[tenant] for tenant in here]
            numbers.append(own)
        place = PartitionIdentity(number, partitions, partitioner)
        first = formers[0].head
        head = msgspec.structs.replace(
            first,
            place=place,
            published_ms=0,
            outage_ended=all(former.head.outage_ended for former in formers),
            control=0,
            handed_over=False,
            sources=[],
            shard=merged_shard_head([former.head.shard for former in formers], numbers, len(mine)),
            versions=[PolicyVersionRef(version.from_ms, version.policy.sha256) for version in versions],
            inputs=[],
            owners=0,
            logs=RecordLogs(list(range(len(first.sources))), former_logs),
        )
        entries = merged_entries(formers, pasts, numbers, mine, renumbered_logs, fine_panes_from_ms(head.shard))
        head = msgspec.structs.replace(head, entries=len(entries))
        kept = _kept_of(formers, place)
        yield RescaledPartition(number, policies | entries, kept, head, versions, newest_review_keys(formers[0]))


def _kept_of(formers: Sequence[SourcePartition], place: PartitionIdentity) -> list[list[KeptRecord]]:
    """The kept records whose key belongs to the new partition, for each source, by decision time."""

    def belongs(record: KeptRecord) -> bool:
        return partition_of(record.key, place.partitions, place.partitioner) == place.number

    return [
        sorted((one for former in formers for one in former.kept[source] if belongs(one)), key=lambda one: one.at_ms)
        for source in range(len(formers[0].kept))
    ]


def _logs(formers: Sequence[SourcePartition]) -> tuple[dict[int, FormerLog], list[dict[int, int]]]:
    """The former logs of the new partitions, and for each old one the new number of each of its logs."""
    first = len(formers[0].head.sources)  # the new logs come first
    named = [former.named_logs for former in formers]
    logs = dict.fromkeys(log for some in named for log in some.values())
    every = {log: number for number, log in enumerate(logs, first)}
    return {number: log for log, number in every.items()}, [
        {number: every[log] for number, log in some.items()} for some in named
    ]
