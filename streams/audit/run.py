"""Audits all partitions."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from itertools import repeat

from streams.audit import compare
from streams.audit.compare import EventDifference
from streams.audit.partition import AuditContext, Audited, PartitionAudit
from streams.kafka.api import PermanentError
from streams.kafka.topic_names import TopicNames
from streams.ops.topic_replay import partitions_of
from streams.savepoint.archive import ArchiveReader
from streams.topics.state_inputs import check_inputs

_ROUNDS = 3
_REST_S = 0.5


@dataclass(slots=True)
class AuditReport:
    """The results of all partitions; ``differences`` as `compare.misplaced` returns them."""

    partitions: list[Audited]
    differences: list[EventDifference]

    @property
    def clean(self) -> bool:
        """Whether everything was checked and nothing differs."""
        return not self.differences and not any(one.unchecked for one in self.partitions)


async def audit(
    setup: AuditContext, export: ArchiveReader | None = None, report: Callable[[Audited], None] = lambda one: None
) -> AuditReport:
    """Audit all partitions, from the state of an ``export`` or from the topics' beginning; calls ``report`` after each.

    Raises the cluster's TransientError, PermanentError and OffsetOutOfRange, and ArchiveError.
    """
    await check_inputs(setup.cluster, setup.names)
    count = await partitions_of(setup.cluster, setup.names)
    if export is not None:
        _must_fit(export, setup.names, count)
        export.check()
    done = []
    for number, part in zip(range(count), repeat(None) if export is None else export.parts(), strict=False):
        for _ in range(_ROUNDS):
            one = PartitionAudit(setup, number, count, part)
            audited = await one.audit()
            if not (audited.differences or audited.unchecked):
                break
            # A worker's transaction may have been seen half-way, for its markers are written one by one: only what
            # persists is a difference.
            await asyncio.sleep(_REST_S)
            if not await one.moved_on():
                break
        done.append(audited)
        report(audited)
    return AuditReport(done, compare.misplaced(one for audited in done for one in audited.differences))


def _must_fit(export: ArchiveReader, names: TopicNames, count: int) -> None:
    header = export.header
    if (header.input_prefix, header.output_prefix) != (names.input_prefix, names.output_prefix):
        raise PermanentError(f"{export.path} is of other topics; expected an export of {names.output('state')}")
    if header.partitions != count:
        raise PermanentError(
            f"{export.path} has {header.partitions} partitions, the topics have {count}; expected the same number"
        )
