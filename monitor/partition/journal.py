"""Notes: what was not in a source's records and yet decided, each at the offset before which it took effect.

What an operator commanded is noted with who did (``by``), when (``at_ms``, by the operator's machine) and why.
"""

from typing import Any

from msgspec import Struct


class ClockAdvance(Struct, frozen=True, tag="move"):
    """The source was silent: its clock went on to ``clock_ms`` before the record at ``offset``."""

    offset: int
    clock_ms: int


class MaxAheadChange(Struct, frozen=True, tag="limit"):
    """From ``offset`` on, records may be ``max_ahead_ms`` ahead of their timestamps."""

    offset: int
    max_ahead_ms: int


class SkippedRecord(Struct, frozen=True, tag="skip"):
    """The operator had the record at ``offset`` refused, or all from there to ``through``, which could not be read."""

    offset: int
    reason: str
    by: str = ""
    at_ms: int = 0
    through: int | None = None

    @property
    def last(self) -> int:
        """The last offset that it is of."""
        return self.offset if self.through is None else self.through


class OutageEnded(Struct, frozen=True, tag="end_outage"):
    """The operator said that no calls were away; the clock moves that came of it are notes of their own."""

    offset: int
    reason: str
    by: str = ""
    at_ms: int = 0


class LostInput(Struct, frozen=True, tag="lost_input"):
    """The operator accepted that records from ``needed`` on were gone: the source went on at ``offset``.

    ``anew``: its log was made anew, and what had been noted of offsets until then is of another log.
    """

    offset: int
    needed: int
    anew: bool
    reason: str
    by: str = ""
    at_ms: int = 0


class LostState(Struct, frozen=True, tag="lost_state"):
    """The operator accepted that the state was made anew; ``offset`` is that at which enforcement ended then."""

    offset: int
    reason: str
    by: str = ""
    at_ms: int = 0


class PolicyChange(Struct, frozen=True, tag="policy"):
    """Windows that end at ``from_ms`` or later, and records of then or later, are decided under this policy.

    ``policy`` is the resolved policy as `monitor.policy.serialize` writes it, ``sha256`` its hash, as events name it.
    That with which a state was begun has ``from_ms`` 0.
    """

    from_ms: int
    sha256: str
    policy: dict[str, Any]
    reason: str = ""
    by: str = ""
    at_ms: int = 0


class PolicyWithdrawal(Struct, frozen=True, tag="withdraw"):
    """The policy that was to hold from ``from_ms`` on is not to: it was still to come, and has decided nothing."""

    from_ms: int
    sha256: str
    reason: str = ""
    by: str = ""
    at_ms: int = 0


class EnforceFrom(Struct, frozen=True, tag="enforce_from"):
    """The partition was begun so: what was before ``from_ms`` is known and counted, and decides nothing."""

    from_ms: int


class RefusedCommand(Struct, frozen=True, tag="refused"):
    """The operator's command at ``offset`` of the control log cannot be done, and is done with.

    ``by`` and ``at_ms`` are the command's.
    """

    offset: int
    why: str
    by: str = ""
    at_ms: int = 0


Note = (
    ClockAdvance
    | MaxAheadChange
    | SkippedRecord
    | OutageEnded
    | LostInput
    | LostState
    | PolicyChange
    | PolicyWithdrawal
    | EnforceFrom
    | RefusedCommand
)
"""Those of the partition (`LostState`, `PolicyChange`, `PolicyWithdrawal`, `EnforceFrom`, `RefusedCommand`) stand
without a source.
"""
