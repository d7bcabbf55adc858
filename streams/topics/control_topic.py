"""The operator's commands in the control topic. Those in partition n are for the owner of partition n.

Each says who gave it (``by``), when (``at_ms``, by that machine's clock) and why. The owner records it in the journal.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from monitor.partition.journal import (
    JournalEntry,
    LostInput,
    LostState,
    OutageEnded,
    PolicyChange,
    PolicyWithdrawal,
    RefusedCommand,
    SkippedRecord,
)
from monitor.partition.refusal_wording import refusal_text
from schemas.inputs import END_MS
from streams.kafka.topic_names import TopicNames

if TYPE_CHECKING:
    from monitor.partition.task import StreamTask
    from streams.kafka.api import FetchedBatch

MAX_TEXT: Final = 4_096
"""The most characters of a text in a command: it is recorded, and an entry must fit into one record."""

MAX_POLICY_BYTES: Final = 900_000
"""The most bytes of a resolved policy as JSON: its entry must fit into one record."""

Offset = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
Time = Annotated[int, Meta(ge=0, le=END_MS)]
Text = Annotated[str, Meta(max_length=MAX_TEXT)]


class SkipCommand(Struct, frozen=True, tag="skip"):
    """Send the record at ``offset`` of this partition of ``topic`` to the dead letters instead of reading it."""

    topic: Text
    offset: Offset
    reason: Text
    by: Text = ""
    at_ms: Time = 0


class AcceptCommand(Struct, frozen=True, tag="accept"):
    """Continue despite a loss.

    ``offset`` is the one that the refusal named, so that an old acceptance never covers a new loss: for ``lost_input``
    the offset at which ``topic`` begins now, for ``lost_state`` the one at which enforcement ends.
    """

    what: Literal["lost_input", "lost_state"]
    offset: Offset
    reason: Text
    topic: Text | None = None
    by: Text = ""
    at_ms: Time = 0


class EndOutageCommand(Struct, frozen=True, tag="end_outage"):
    """End an outage: no calls are missing, there are none. The clock follows the broker's time until the next call."""

    reason: Text
    by: Text = ""
    at_ms: Time = 0


class PolicyCommand(Struct, frozen=True, tag="policy"):
    """Apply this policy from ``from_ms`` on, or from the first later time that is still possible.

    ``policy`` is the resolved policy as `monitor.policy.serialize` writes it, ``sha256`` its hash.
    """

    policy: dict[str, Any]
    sha256: Text
    from_ms: Time
    reason: Text
    by: Text = ""
    at_ms: Time = 0


class WithdrawCommand(Struct, frozen=True, tag="withdraw"):
    """Withdraw those of these policies, by hash, that do not apply yet."""

    sha256s: Annotated[tuple[Text, ...], Meta(max_length=100)]
    reason: Text
    by: Text = ""
    at_ms: Time = 0


Command = SkipCommand | AcceptCommand | EndOutageCommand | PolicyCommand | WithdrawCommand

_DECODER: msgspec.json.Decoder[Command] = msgspec.json.Decoder(Command)


def decode_command(value: bytes | None) -> Command | str:
    """The command in a record's value, or the reason why it is invalid."""
    try:
        return _DECODER.decode(value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return str(error)


def commands_in(fetched: "FetchedBatch") -> list[tuple[int, Command | str]]:
    """The fetched commands with their offsets; for an invalid record the reason."""
    found: list[tuple[int, Command | str]] = []
    for offset, value in zip(fetched.offsets.tolist(), fetched.values, strict=True):
        bad = fetched.unreadable.get(offset)
        found.append((offset, decode_command(value) if bad is None else bad.reason))
    return found


def apply_command(
    command: Command | str, partition: "StreamTask", names: TopicNames, accepted: Sequence[AcceptCommand]
) -> str | None:
    """Apply a result of `decode_command` to the partition; returns None, or why it cannot be applied.

    ``accepted`` are the acceptances that were used when it was opened: at any other time there is nothing to accept.
    """
    match command:
        case SkipCommand():
            source = names.source(command.topic)
            if source is None:
                return refusal_text("not_an_input", topic=command.topic, expected=", ".join(names.inputs))
            return partition.sources.skip(source, command.offset, command.reason, command.by, command.at_ms)
        case EndOutageCommand():
            partition.sources.end_outage(command.reason, command.by, command.at_ms)
            return None
        case PolicyCommand():
            size = len(msgspec.json.encode(command.policy))
            if size > MAX_POLICY_BYTES:
                return refusal_text("too_large", size=size, most=MAX_POLICY_BYTES)
            signed = command.reason, command.by, command.at_ms
            return partition.policy_changes.apply(command.policy, command.sha256, command.from_ms, *signed)
        case WithdrawCommand():
            return partition.policy_changes.withdraw(command.sha256s, command.reason, command.by, command.at_ms)
        case AcceptCommand():
            if command in accepted:
                return None
            return refusal_text("no_such_loss", what=command.what, offset=command.offset)
        case str():
            return command


def refused_command_entry(offset: int, command: Command | str, why: str) -> RefusedCommand:
    """The entry about a command, at that offset of the control log, that could not be applied."""
    by, at_ms = _signed(command)
    return RefusedCommand(offset, why[:MAX_TEXT], by, at_ms)


def is_refusal_of(entry: JournalEntry, offset: int, command: Command | str) -> bool:
    """Whether the entry is the owner's refusal of this command."""
    return isinstance(entry, RefusedCommand) and (entry.offset, entry.by, entry.at_ms) == (offset, *_signed(command))


def _signed(command: Command | str) -> tuple[str, int]:
    return ("", 0) if isinstance(command, str) else (command.by, command.at_ms)


def is_completion_of(entry: JournalEntry, topic: str | None, command: Command | str) -> bool:
    """Whether the entry (of ``topic``, None: of the partition) is the owner's confirmation of this command."""
    match entry, command:
        case SkippedRecord(), SkipCommand():
            return (topic, entry.offset) == (command.topic, command.offset)
        case ((LostInput() | LostState()), AcceptCommand()):
            return (topic, entry.offset) == (command.topic, command.offset)
        case PolicyChange(), PolicyCommand():
            return (entry.sha256, entry.by, entry.at_ms) == (command.sha256, command.by, command.at_ms)
        case PolicyWithdrawal(), WithdrawCommand():
            return entry.sha256 in command.sha256s and (entry.by, entry.at_ms) == (command.by, command.at_ms)
        case OutageEnded(), EndOutageCommand():
            return (entry.by, entry.at_ms) == (command.by, command.at_ms)
    return False
