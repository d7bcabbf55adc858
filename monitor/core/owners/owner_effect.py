"""When the ban of an owner, or its lifting, takes effect."""

from typing import Final

STEP_MS: Final = 300_000
"""Effects come at multiples of five minutes of event time, which all partitions can compute."""

OWNER_BANNED: Final = "owner_banned"
"""The behaviour of the pending ban of a tenant whose owner is banned."""


def first_effect(ms: int) -> int:
    """The earliest effect of a decision at ``ms``: the next multiple of five minutes after it (contract, section 5)."""
    return (ms // STEP_MS + 1) * STEP_MS
