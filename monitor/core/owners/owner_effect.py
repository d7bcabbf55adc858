"""When the ban of an owner, or its lifting, takes effect."""

from typing import Final

STEP_MS: Final = 300_000
"""Effects come at whole five minutes of event time, so that all partitions can agree on the instant."""

OWNER_BANNED: Final = "owner_banned"
"""The behaviour of the pending ban of a tenant whose owner is banned."""


def first_effect(ms: int) -> int:
    """The first whole five minutes after ``ms``, the earliest effect of what is decided then (contract, section 5)."""
    return (ms // STEP_MS + 1) * STEP_MS
