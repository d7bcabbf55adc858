"""Journal entries: facts that affect decisions but are not in a source's records.

Each has the offset before which it applies. The entry of an operator command says who gave it (``by``), when
(``at_ms``, on the operator's machine) and why.
"""

from typing import Any

from msgspec import Struct

from schemas.owners import OwnerBan


class ClockAdvance(Struct, frozen=True, tag="move"):
    """The source was silent: its clock advanced to ``clock_ms`` before the record at ``offset``."""

    offset: int
    clock_ms: int


class MaxAheadChange(Struct, frozen=True, tag="limit", omit_defaults=True):
    """From ``offset`` on, records may be up to ``max_ahead_ms`` ahead of their timestamps.

    With ``clock_ms`` they move the clock no further than that. They were read before, from another log, and have a
    later timestamp here than there.
    """

    offset: int
    max_ahead_ms: int
    clock_ms: int | None = None


class ReviewKeysChange(Struct, frozen=True, tag="review_keys"):
    """From ``offset`` of the reviews on, only reviews that one of these keys signed are accepted; none: all are.

    ``keys`` has the Ed25519 public keys in base64, by name.
    """

    offset: int
    keys: dict[str, str]


class SkippedRecord(Struct, frozen=True, tag="skip"):
    """The operator skipped the record at ``offset``, or the unreadable records from ``offset`` to ``through``."""

    offset: int
    reason: str
    by: str = ""
    at_ms: int = 0
    through: int | None = None

    @property
    def last(self) -> int:
        """The last skipped offset."""
        return self.offset if self.through is None else self.through


class OutageEnded(Struct, frozen=True, tag="end_outage"):
    """The operator declared that no calls are missing. The resulting clock advances have their own entries."""

    offset: int
    reason: str
    by: str = ""
    at_ms: int = 0


class LostInput(Struct, frozen=True, tag="lost_input"):
    """The operator accepted the loss of records from ``needed`` on: the source resumed at ``offset``.

    ``recreated``: the log was recreated, and earlier entries about offsets refer to the old log.
    """

    offset: int
    needed: int
    recreated: bool
    reason: str
    by: str = ""
    at_ms: int = 0


class LostState(Struct, frozen=True, tag="lost_state"):
    """The operator accepted a rebuild of the lost state. ``offset`` is the end of the enforcement log at that time."""

    offset: int
    reason: str
    by: str = ""
    at_ms: int = 0


class PolicyChange(Struct, frozen=True, tag="policy"):
    """Windows that end at ``from_ms`` or later, and records from then on, are decided under this policy.

    ``policy`` is the resolved policy as `monitor.policy.serialize` writes it; ``sha256`` is its hash, as in events.
    The first policy of a state has ``from_ms`` 0.
    """

    from_ms: int
    sha256: str
    policy: dict[str, Any]
    reason: str = ""
    by: str = ""
    at_ms: int = 0


class PolicyWithdrawal(Struct, frozen=True, tag="withdraw"):
    """The policy change at ``from_ms`` was withdrawn before it decided anything."""

    from_ms: int
    sha256: str
    reason: str = ""
    by: str = ""
    at_ms: int = 0


class EnforceFrom(Struct, frozen=True, tag="enforce_from"):
    """The partition was started so that events before ``from_ms`` are counted but decide nothing."""

    from_ms: int


class RefusedCommand(Struct, frozen=True, tag="refused"):
    """The operator command at ``offset`` of the control log was refused and is not retried.

    ``by`` and ``at_ms`` are those of the command.
    """

    offset: int
    why: str
    by: str = ""
    at_ms: int = 0


class OwnerBanTaken(Struct, frozen=True, tag="owner_ban"):
    """The partition took a ban of an owner, or its lifting, when its watermark was ``watermark_ms``.

    That takes effect at ``from_ms``; a ban that was lifted before its effect has none.
    """

    ban: OwnerBan
    from_ms: int
    watermark_ms: int


JournalEntry = (
    ClockAdvance
    | MaxAheadChange
    | ReviewKeysChange
    | SkippedRecord
    | OutageEnded
    | LostInput
    | LostState
    | PolicyChange
    | PolicyWithdrawal
    | EnforceFrom
    | RefusedCommand
    | OwnerBanTaken
)
"""Entries of the partition (`LostState`, `PolicyChange`, `PolicyWithdrawal`, `EnforceFrom`, `RefusedCommand`,
`OwnerBanTaken`) have no source.
"""
