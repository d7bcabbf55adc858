"""The operator's commands, as the control topic has them. Partition n's are for the owner of partition n.

Each says who gave it (``by``), when (``at_ms``, by that machine's clock) and why; its owner notes so in the clock log.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from msgspec import Struct

from monitor.notes import LostInput, LostState, Note, OutageEnded, Refusal, Skip, Switch, Withdrawal
from streams.names import Names

if TYPE_CHECKING:
    from monitor.partition import Partition


class SkipCommand(Struct, frozen=True, tag="skip"):
    """Send the record at ``offset`` of this partition of ``topic`` to the dead letters instead of reading it."""

    topic: str
    offset: int
    reason: str
    by: str = ""
    at_ms: int = 0


class AcceptCommand(Struct, frozen=True, tag="accept"):
    """Go on although something is lost.

    ``offset`` is the one that the refusal named, so that an old acceptance never covers a new loss: for
    ``lost_input`` that at which ``topic`` begins now, for ``lost_state`` that at which enforcement ends.
    """

    what: Literal["lost_input", "lost_state"]
    offset: int
    reason: str
    topic: str | None = None
    by: str = ""
    at_ms: int = 0


class EndOutageCommand(Struct, frozen=True, tag="end_outage"):
    """The calls are not away, there are none: let the clock follow system time until the next call comes."""

    reason: str
    by: str = ""
    at_ms: int = 0


class PolicyCommand(Struct, frozen=True, tag="policy"):
    """Decide under this policy what is of ``from_ms`` or later, or of the first time from there on that can still be.

    ``policy`` is the resolved policy as `monitor.policy.plain` writes it, ``sha256`` its hash.
    """

    policy: dict[str, Any]
    sha256: str
    from_ms: int
    reason: str
    by: str = ""
    at_ms: int = 0


class WithdrawCommand(Struct, frozen=True, tag="withdraw"):
    """Take back those of these policies, by their hashes, that are still to come."""

    sha256s: tuple[str, ...]
    reason: str
    by: str = ""
    at_ms: int = 0


Command = SkipCommand | AcceptCommand | EndOutageCommand | PolicyCommand | WithdrawCommand

_DECODER: msgspec.json.Decoder[Command] = msgspec.json.Decoder(Command)


def decode_command(value: bytes | None) -> Command | str:
    """The command in a record's value, or what is wrong with it."""
    try:
        return _DECODER.decode(value or b"")
    except msgspec.DecodeError as error:
        return str(error)


def carry_out(
    command: Command | str, partition: "Partition", names: Names, accepted: Sequence[AcceptCommand]
) -> str | None:
    """Have the partition do what `decode_command` gave; None, or why it cannot be.

    ``accepted`` are the acceptances that were used when it was opened: at any other time there is nothing to accept.
    """
    match command:
        case SkipCommand():
            source = names.source(command.topic)
            if source is None:
                return f"topic {command.topic!r} is no input; expected one of {', '.join(names.inputs)}"
            return partition.sources.skip(source, command.offset, command.reason, command.by, command.at_ms)
        case EndOutageCommand():
            partition.sources.end_outage(command.reason, command.by, command.at_ms)
            return None
        case PolicyCommand():
            told = command.reason, command.by, command.at_ms
            return partition.switch(command.policy, command.sha256, command.from_ms, *told)
        case WithdrawCommand():
            return partition.withdraw(command.sha256s, command.reason, command.by, command.at_ms)
        case AcceptCommand():
            if command in accepted:
                return None
            return f"{command.what} at offset {command.offset}: there is no such loss; expected what a refusal names"
        case str():
            return command


def refusal(offset: int, command: Command | str, why: str) -> Refusal:
    """What is noted of a command at that offset of the control log that could not be carried out."""
    by, at_ms = _signed(command)
    return Refusal(offset, why, by, at_ms)


def says_refused(note: Note, offset: int, command: Command | str) -> bool:
    """Whether the note is what the partition's owner said of this command, which it could not carry out."""
    return isinstance(note, Refusal) and (note.offset, note.by, note.at_ms) == (offset, *_signed(command))


def _signed(command: Command | str) -> tuple[str, int]:
    return ("", 0) if isinstance(command, str) else (command.by, command.at_ms)


def says_done(note: Note, topic: str | None, command: Command | str) -> bool:
    """Whether the note, of that topic if of any, is what the partition's owner says of this command once it is done."""
    match note, command:
        case Skip(), SkipCommand():
            return (topic, note.offset) == (command.topic, command.offset)
        case ((LostInput() | LostState()), AcceptCommand()):
            return (topic, note.offset) == (command.topic, command.offset)
        case Switch(), PolicyCommand():
            return (note.sha256, note.by, note.at_ms) == (command.sha256, command.by, command.at_ms)
        case Withdrawal(), WithdrawCommand():
            return note.sha256 in command.sha256s and (note.by, note.at_ms) == (command.by, command.at_ms)
        case OutageEnded(), EndOutageCommand():
            return (note.by, note.at_ms) == (command.by, command.at_ms)
    return False
