"""Writes an operator's commands into the control topic, and watches for the workers' answers."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import msgspec

from monitor.partition.journal import JournalEntry, RefusedCommand
from streams.kafka.api import TP, Cluster, Fenced, OffsetOutOfRange, PermanentError, TransientError, Writer
from streams.kafka.outputs import OutputRecord
from streams.kafka.topic_names import TopicNames, require_topics
from streams.topics.control_topic import (
    AcceptCommand,
    Command,
    EndOutageCommand,
    PolicyCommand,
    SkipCommand,
    WithdrawCommand,
    is_completion_of,
    is_refusal_of,
)
from streams.topics.transaction_records import NOT_AN_ENTRY, decode_journal_entry, is_tick, must_fit

_LOOK_S = 0.5


class Unconfirmed(TransientError):
    """A command was sent, but whether it was written or applied is unknown. Sending it again does no harm.

    ``look``: how to find out.
    """

    def __init__(self, why: str, look: str = "It is safe to run the same command again") -> None:
        super().__init__(why)
        self.look = look


class Superseded(Unconfirmed):
    """Another operator's command was written at the same time: whether this one was written is unknown."""


@asynccontextmanager
async def open_operator_writer(cluster: Cluster, application_id: str) -> AsyncIterator[Writer]:
    """A started writer for an operator's transactions.

    All operators of an application share a transactional id: with such a writer, everything that earlier ones wrote is
    visible, and of two at the same time one raises Superseded. Raises TransientError and PermanentError.
    """
    writer = cluster.writer(f"{application_id}-operator")
    try:
        await writer.start()
        yield writer
    except Fenced:
        raise Superseded(
            "another operator wrote a command at the same time; it is not known whether this one was written"
        ) from None
    finally:
        await writer.stop()


async def commit_records(writer: Writer, records: Sequence[OutputRecord]) -> int:
    """Write the records in one transaction; returns the offset of the last.

    Raises Fenced, PermanentError, and Unconfirmed instead of TransientError.
    """
    try:
        return await writer.commit(records, {})
    except TransientError as error:
        raise Unconfirmed(str(error)) from None


async def write(cluster: Cluster, application_id: str, records: Sequence[OutputRecord]) -> int:
    """Write the records in one transaction; returns the offset of the last.

    Raises TransientError if nothing was sent, Unconfirmed (Superseded if another operator was writing) if the outcome
    is unknown, and PermanentError.
    """
    async with open_operator_writer(cluster, application_id) as writer:
        return await commit_records(writer, records)


async def send(
    cluster: Cluster, names: TopicNames, application_id: str, numbers: Sequence[int], command: Command
) -> list[TP]:
    """Write a command for the owners of these partition numbers; returns where it was written.

    Raises TransientError if nothing was sent, Unconfirmed if the outcome is unknown, and PermanentError.
    """
    topic, value = names.output("control"), msgspec.json.encode(command)
    outs = [OutputRecord(topic, number, str(number).encode(), value) for number in numbers]
    must_fit(outs)
    try:
        await write(cluster, application_id, outs)
    except Unconfirmed as error:
        raise Unconfirmed(str(error), how_to_look(command)) from None
    return [TP(topic, number) for number in numbers]


async def partition_count(cluster: Cluster, names: TopicNames) -> int:
    """The number of partitions that workers use: the smaller of those of the control topic and the state topic.

    Raises TransientError, and PermanentError if the control topic does not exist.
    """
    topic = names.output("control")
    counts = await cluster.partitions([topic, names.output("state")])
    require_topics(counts, [topic])
    return min(counts.values())


def how_to_look(command: Command) -> str:
    """How to find out later whether the command was applied."""
    match command:
        case PolicyCommand() | WithdrawCommand():
            shows = "`callwarden policy status` shows whether it was taken"
        case SkipCommand():
            shows = "`callwarden dead-letter list` shows the record once it was taken"
        case AcceptCommand():
            shows = "/readyz of the partition's worker no longer names the loss once it was taken"
        case EndOutageCommand():
            shows = "the workers log `command taken` once it was taken"
    return f"{shows}; it is safe to run the same command again"


@dataclass(frozen=True, slots=True)
class CommandAnswers:
    """The owners' answers to a command: the partitions that applied it, refused it (and why), or did not answer.

    ``away``: why the answers could not be read, if that lasted until the end; ``look``: how to find out later.
    """

    done: list[int] = field(default_factory=list)
    refused: dict[int, str] = field(default_factory=dict)
    silent: list[int] = field(default_factory=list)
    away: str = ""
    look: str = ""


class AnswerWatch:
    """Watches for the owner's answer: its entry of the command in the clock log, written after the watch began."""

    def __init__(self, cluster: Cluster, names: TopicNames, number: int, command: Command) -> None:
        self._cluster, self._names, self._command = cluster, names, command
        self._clock, self._control = TP(names.output("clock"), number), TP(names.output("control"), number)
        self._at = self._sent = 0
        self.away = ""

    async def begin(self) -> None:
        """Begin the watch; call it before the command is sent."""
        ends = await self._cluster.ends([self._clock, self._control])
        self._at, self._sent = ends[self._clock], ends[self._control]

    async def answer(self, within_s: float) -> JournalEntry | None:
        """The answer within the time: a `RefusedCommand`, another entry if it was applied, or None.

        Waits for a broker that is away meanwhile; ``away`` says why if it is not back at the end.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + within_s
        while True:
            entry = None
            try:
                entry, self.away = await self._look(), ""
            except (TransientError, PermanentError, OffsetOutOfRange) as error:
                self.away = str(error)
            if entry is not None or loop.time() >= until:
                return entry
            await asyncio.sleep(_LOOK_S)

    async def _look(self) -> JournalEntry | None:
        end = (await self._cluster.ends([self._clock]))[self._clock]
        async for fetched in self._cluster.read(self._clock, self._at, end):
            for value in fetched.values:
                if is_tick(value):
                    continue
                try:
                    source, entry = decode_journal_entry(value or b"")
                except NOT_AN_ENTRY:
                    continue  # of another program or a newer release: not an answer
                topic = None if source is None else self._names.inputs[source]
                if is_completion_of(entry, topic, self._command) or self._refuses(entry):
                    return entry
        self._at = end  # only now: an interrupted read is repeated
        return None

    def _refuses(self, entry: JournalEntry) -> bool:
        return (
            isinstance(entry, RefusedCommand)
            and entry.offset >= self._sent
            and is_refusal_of(entry, entry.offset, self._command)
        )


async def send_command(
    cluster: Cluster, names: TopicNames, application_id: str, numbers: Sequence[int], command: Command, within_s: float
) -> CommandAnswers:
    """Write a command for the owners of these partition numbers; returns their answers within ``within_s``.

    Does not wait if ``within_s`` is 0. Raises TransientError if nothing was sent, Unconfirmed if the outcome is
    unknown, and PermanentError.
    """
    watches = [AnswerWatch(cluster, names, number, command) for number in numbers]
    for each in watches:
        await each.begin()
    await send(cluster, names, application_id, numbers, command)
    entries = await asyncio.gather(*(each.answer(within_s) for each in watches)) if within_s else [None] * len(watches)
    away = next((each.away for each in watches if each.away), "")
    answers = CommandAnswers(away=away, look=how_to_look(command))
    for number, entry in zip(numbers, entries, strict=True):
        if entry is None:
            answers.silent.append(number)
        elif isinstance(entry, RefusedCommand):
            answers.refused[number] = entry.why
        else:
            answers.done.append(number)
    return answers
