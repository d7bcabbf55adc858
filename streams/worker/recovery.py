"""Opens a partition: reads its stored state, checks it against the logs, and refuses a mismatch."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from monitor.core.codec import StateFormatError
from monitor.partition.checkpoint import HEAD, MismatchError, place_of
from monitor.partition.chunking import MissingChunkError
from monitor.partition.journal import JournalEntry, LostInput, LostState
from monitor.partition.task import StreamTask
from monitor.policy.load import PolicyError
from streams.kafka.api import TP, Cluster, Writer
from streams.kafka.outputs import OutputRecord
from streams.kafka.topic_names import TopicNames
from streams.topics import clock_topic
from streams.topics.control_topic import (
    AcceptCommand,
    Command,
    SkipCommand,
    commands_in,
    is_completion_of,
    is_refusal_of,
)
from streams.topics.moved_marker import marker_of
from streams.topics.published_output import published_output
from streams.topics.state_entries import newest_entries, read_entries
from streams.topics.state_inputs import current_inputs, other_inputs
from streams.topics.state_topic import part_of
from streams.wording.worker_wording import worker_text

Commands = list[tuple[int, Command | str]]
JournalEntries = dict[int | None, list[JournalEntry]]

_DELETED_AT_ONCE = 20_000  # records of a lost state, in one transaction
_LARGE_STATE = 1_000_000  # bytes, compressed: a larger state is restored in a thread


class LogRange(NamedTuple):
    """The first offset that a log still has, and its end."""

    start: int
    end: int


class RecoveryRefused(Exception):
    """A partition that cannot be opened. The message says what is lost or wrong and what the operator can do.

    The operator's commands before offset ``control_end`` have been considered.
    """

    control_end = 0


@dataclass(slots=True)
class RecoveredPartition:
    """A partition at the offsets from which its sources are read.

    ``state_end`` is the end of the state's log: while the log has no record from there on, no other owner has written.
    ``commands`` are those not yet applied, with their offsets; ``control_end`` is the offset after them. ``accepted``
    are the accept commands that were used to open it.
    """

    partition: StreamTask
    state_end: int
    control_end: int
    commands: Commands = field(default_factory=list)
    accepted: list[AcceptCommand] = field(default_factory=list)


class _Acceptances:
    """The losses that the operator has accepted, and the acceptances that were used."""

    def __init__(self, commands: Commands) -> None:
        self._given = [command for _, command in commands if isinstance(command, AcceptCommand)]
        self.used: list[AcceptCommand] = []

    def covering(self, what: str, offset: int, topic: str | None = None) -> AcceptCommand | None:
        """The newest command that accepts exactly this loss, or None."""
        for given in reversed(self._given):
            if given.what == what and given.offset == offset and (topic is None or given.topic == topic):
                self.used.append(given)
                return given
        return None


async def open_partition(cluster: Cluster, names: TopicNames, number: int, partition: StreamTask) -> RecoveredPartition:
    """Restore the new ``partition`` from the stored state and the operator's commands.

    The caller's writer must have been started: before that, a former owner could still write. Raises RecoveryRefused
    if the partition cannot be opened, and the cluster's TransientError and PermanentError.
    """
    inputs = [TP(topic, number) for topic in names.inputs]
    state, control = TP(names.output("state"), number), TP(names.output("control"), number)
    logs = await _ranges(cluster, [*inputs, state, control])
    found = await current_inputs(cluster, names)
    try:
        stored: dict[str, bytes] = {}
        await read_entries(cluster, state, logs[state].start, logs[state].end, stored)
        _check_moved(stored)
        large = sum(map(len, stored.values())) > _LARGE_STATE
        lost = await asyncio.to_thread(_restore, partition, stored) if large else _restore(partition, stored)
        if wrong := other_inputs(partition.inputs, names):
            raise RecoveryRefused(wrong)
        known = partition.inputs or found
        # A source that was never read cannot have lost anything.
        read = [done > 0 for done in partition.sources.done]
        recreated = [was != now and some for was, now, some in zip(known, found, read, strict=True)]
        if lost is not None:
            partition.stored.clear(stored)
        elif partition.published.rebuilding:
            partition.published.suppress(await published_output(cluster, names, number))
        commands = await read_commands(cluster, control, partition.control, logs[control].start, logs[control].end)
        accepted = _Acceptances(commands)
        if lost is not None:
            entries = await _begin(cluster, names, number, partition, accepted, logs, lost)
            commands = pending_commands(commands, entries, names)
        whole = not any(recreated) and all(
            partition.sources.done[source] <= logs[tp].end for source, tp in enumerate(inputs)
        )
        # Handed-over records refer to offsets of the logs as they were, and one of them may be the record to skip.
        if whole and not any(isinstance(command, SkipCommand) for _, command in commands):
            if large:
                await asyncio.to_thread(StreamTask.take_over, partition)
            else:
                partition.take_over()
        for source, tp in enumerate(inputs):
            _check_source(partition, source, tp, logs[tp], recreated[source], accepted)
        partition.inputs = found
    except RecoveryRefused as refused:
        refused.args = (worker_text("partition", number=number, why=refused),)
        refused.control_end = logs[control].end
        raise
    return RecoveredPartition(partition, logs[state].end, logs[control].end, commands, accepted.used)


async def _ranges(cluster: Cluster, tps: Sequence[TP]) -> dict[TP, LogRange]:
    starts, ends = await cluster.starts(tps), await cluster.ends(tps)
    return {tp: LogRange(starts[tp], ends[tp]) for tp in tps}


async def delete_left(opened: RecoveredPartition, names: TopicNames, writer: Writer) -> None:
    """Delete what is left of a lost state, in several transactions if it is much.

    Its head is deleted first: for a worker that continues, the state is as lost as it was, and its loss accepted.
    """
    state, number = names.output("state"), opened.partition.place.number
    while keys := opened.partition.stored.take_left(_DELETED_AT_ONCE):
        outs = [OutputRecord(state, number, key.encode(), None) for key in keys]
        opened.state_end = await writer.commit(outs, {}) + 1


async def has_grown(cluster: Cluster, names: TopicNames, number: int, since: int) -> bool:
    """Whether something was written to the state's log from offset ``since`` on, so that another owner has written.

    Raises the cluster's TransientError and PermanentError.
    """
    state = TP(names.output("state"), number)
    return await _has_records(cluster, state, since, (await cluster.ends([state]))[state])


def _check_moved(stored: Mapping[str, bytes]) -> None:
    """Raise RecoveryRefused if the state was moved: a second owner would decide the same records twice."""
    moved = marker_of(stored)
    if moved is not None:
        values = {"prefix": moved.output_prefix, "partitions": moved.partitions}
        raise RecoveryRefused(worker_text("moved", **values, command="callwarden state move --undo"))


def _restore(partition: StreamTask, stored: Mapping[str, bytes]) -> str | None:
    """Restore the partition; returns None, or what is missing if there is no complete state.

    Raises RecoveryRefused if the state has another format or belongs to another partition.
    """
    if f"{HEAD}/0" not in stored:
        return worker_text("no_state")
    try:
        partition.restore(stored)
    except MissingChunkError as error:
        return worker_text("incomplete_state", why=error)
    except (StateFormatError, MismatchError) as error:
        raise RecoveryRefused(str(error)) from None
    return None


async def read_commands(cluster: Cluster, control: TP, done: int, start: int, end: int) -> Commands:
    """The commands from ``done`` on, or all if the topic was created again.

    Raises the cluster's TransientError and PermanentError.
    """
    commands: Commands = []
    async for fetched in cluster.read(control, max(done, start) if done <= end else start, end):
        commands += commands_in(fetched)
    return commands


async def _begin(
    cluster: Cluster,
    names: TopicNames,
    number: int,
    partition: StreamTask,
    accepted: _Acceptances,
    logs: Mapping[TP, LogRange],
    lost: str,
) -> JournalEntries:
    """Open a partition without state: read all inputs from their beginning; returns the journal entries.

    If decisions or journal entries exist, the state is lost: raises RecoveryRefused unless the operator accepted that.
    """
    inputs = [TP(topic, number) for topic in names.inputs]
    await _check_count(cluster, TP(names.output("state"), 0), partition.place.partitions)
    for source, tp in enumerate(inputs):
        partition.sources.pass_over(source, logs[tp].start)
    enforcement, clock = TP(names.output("enforcement"), number), TP(names.output("clock"), number)
    decided = await _ranges(cluster, [enforcement, clock])
    if not await _has_records(cluster, enforcement, *decided[enforcement]) and not await clock_topic.has_entries(
        cluster, clock, *decided[clock]
    ):
        # Without a decision, too, it may have written measures.
        partition.published.suppress(await published_output(cluster, names, number))
        return {}
    offset = decided[enforcement].end
    accept = accepted.covering("lost_state", offset)
    if accept is None:
        command = f"callwarden accept lost-state --partition {number} --offset {offset} --reason WHY"
        raise RecoveryRefused(worker_text("lost_state", topic=names.output("state"), lost=lost, command=command))
    partition.journal.add(LostState(offset, accept.reason, accept.by, accept.at_ms))
    entries: JournalEntries = {None: []}
    async for _, of, entry in clock_topic.journal_entries(cluster, clock, *decided[clock]):
        entries.setdefault(of, []).append(entry)
    try:
        for of, recorded in entries.items():
            partition.recall(of, recorded, None if of is None else logs[inputs[of]].end)
    except PolicyError as error:
        raise RecoveryRefused(worker_text("unreadable_policy", topic=clock.topic, error=error)) from None
    partition.published.suppress(await published_output(cluster, names, number))
    return entries


def pending_commands(commands: Commands, entries: JournalEntries, names: TopicNames) -> Commands:
    """The commands after the last that was recorded as applied or refused: those before it were handled, too.

    Otherwise a policy that was superseded since would be applied again, after its successor, and a worker with another
    policy or release could apply one that was refused.
    """
    every = [(entry, None if of is None else names.inputs[of]) for of, some in entries.items() for entry in some]
    done = [
        place
        for place, (offset, command) in enumerate(commands, 1)
        if any(
            is_completion_of(entry, topic, command) or is_refusal_of(entry, offset, command) for entry, topic in every
        )
    ]
    return commands[max(done, default=0) :]


async def _check_count(cluster: Cluster, first: TP, partitions: int) -> None:
    """Raise RecoveryRefused if the state of partition 0 has another number of partitions: tenants would move."""
    place = place_of(await newest_entries(cluster, first))
    if place is not None and place.partitions != partitions:
        raise RecoveryRefused(worker_text("other_count", stored=place.partitions, partitions=partitions))


async def objection_to_loss(cluster: Cluster, names: TopicNames, number: int, command: AcceptCommand) -> str | None:
    """Why there is no such loss to accept, as far as the topics show; None if there may be one.

    Raises the cluster's TransientError and PermanentError.
    """
    enforcement = TP(names.output("enforcement"), number)
    try:
        known = (await part_of(cluster, names, number)).judged
    except (MissingChunkError, msgspec.DecodeError):
        known = None  # incomplete or unreadable: that may be the loss
    if command.topic is None:
        if known is not None:
            return f"partition {number} has its state: nothing is lost"
        expected, where = (await cluster.ends([enforcement]))[enforcement], f"{enforcement.topic}-{number} ends"
    else:
        tp = TP(command.topic, number)
        expected, where = (await cluster.starts([tp]))[tp], f"{tp.topic}-{number} begins"
        if known is not None and not known.handed_over:
            source = names.inputs.index(tp.topic)
            at, end = known.sources[source], (await cluster.ends([tp]))[tp]
            same = not known.inputs or not at.done or known.inputs[source] in await current_inputs(cluster, names)
            if same and expected <= at.resume <= end and at.done <= end:
                return f"{where} at offset {expected}, and is needed from {at.resume} on: nothing is lost"
    if command.offset == expected:
        return None
    return (
        f"--offset: expected {expected}, got {command.offset}: {where} there now; see the worker's newest "
        "`partition refused`"
    )


async def _has_records(cluster: Cluster, tp: TP, start: int, end: int) -> bool:
    """Whether a log has committed records in ``[start, end)``."""
    async for fetched in cluster.read(tp, start, end):
        if len(fetched):
            return True
    return False


def _check_source(
    partition: StreamTask, source: int, tp: TP, within: LogRange, recreated: bool, accepted: _Acceptances
) -> None:
    """Check that the log still has what is read again and what was read. ``recreated``: its topic has another id.

    Otherwise records the loss if the operator accepted it, and raises RecoveryRefused if not.
    """
    (start, end), resume, done = within, partition.sources.offsets[source], partition.sources.done[source]
    if start <= resume <= end and done <= end and not recreated:
        return
    is_new_log = recreated or start <= resume
    if not is_new_log:
        what = worker_text("deleted_records", topic=tp.topic, resume=resume, start=start)
        loss = worker_text("loss_between", count=start - resume)
    else:
        what = worker_text("recreated" if recreated else "cut_off", topic=tp.topic, end=end, done=done)
        loss = worker_text("loss_reread", start=start, resume=resume, done=done)
    accept = accepted.covering("lost_input", start, tp.topic)
    if accept is None:
        at = f"--topic {tp.topic} --partition {tp.partition} --offset {start}"
        command = f"callwarden accept lost-input {at} --reason WHY"
        raise RecoveryRefused(worker_text("lost_input", what=what, loss=loss, command=command))
    partition.sources.lose(source, LostInput(start, resume, is_new_log, accept.reason, accept.by, accept.at_ms))
