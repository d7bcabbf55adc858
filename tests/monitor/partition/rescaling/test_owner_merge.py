"""Partitions that are merged have taken a ban of an owner at different times, or not yet."""

from typing import Any

import msgspec
import pytest

from monitor.core.owners.held_ban import ENDED, SCHEDULED, STANDING, HeldBan, encode_owner_bans
from monitor.partition.rescaling.owner_merge import merged_owner_bans
from schemas.owners import OwnerBan

MINUTE = 60_000
NOW = 1_772_452_860_000  # 12:01, up to which all partitions have decided
BAN = OwnerBan("o", "t", "cwe-1", 1, "severe", NOW - 20 * MINUTE)
LIFTED = msgspec.structs.replace(BAN, lifted_ms=NOW - 7 * MINUTE)
COMING = OwnerBan("o", "t", "cwe-1", 1, "severe", NOW - MINUTE // 2)
VOID = msgspec.structs.replace(COMING, lifted_ms=NOW - MINUTE // 3)


def held(state: str, effective_ms: int = NOW - 15 * MINUTE, ban: OwnerBan = BAN, lift: int | None = None) -> HeldBan:
    return HeldBan(ban, effective_ms, state, lift, through="t4")


@pytest.mark.parametrize(
    ("formers", "state", "effective_ms", "lift_effective_ms"),
    [
        # In effect everywhere, whenever each took it.
        ([held(STANDING), held(STANDING, NOW - 3 * MINUTE)], STANDING, NOW - 15 * MINUTE, None),
        # One has not taken it: it takes effect for its tenants right after the move.
        ([held(STANDING), None], SCHEDULED, NOW + 1, None),
        ([None, held(STANDING), held(STANDING)], SCHEDULED, NOW + 1, None),
        # Not in effect yet: at the same time in all of them.
        ([held(SCHEDULED, NOW + 4 * MINUTE, COMING), None], SCHEDULED, NOW + 4 * MINUTE, None),
        # Lifted in one, and the lifting not taken by the other.
        (
            [held(ENDED, ban=LIFTED, lift=NOW - 5 * MINUTE), held(STANDING)],
            STANDING,
            NOW - 15 * MINUTE,
            NOW + 1,
        ),
        # The lifting takes effect later in both.
        (
            [
                held(STANDING, ban=msgspec.structs.replace(BAN, lifted_ms=NOW - MINUTE // 2), lift=NOW + 4 * MINUTE),
                held(STANDING),
            ],
            STANDING,
            NOW - 15 * MINUTE,
            NOW + 4 * MINUTE,
        ),
        # Ended where it was taken, and never taken elsewhere; or void there.
        ([held(ENDED, ban=LIFTED, lift=NOW - 5 * MINUTE), None], ENDED, NOW - 15 * MINUTE, NOW - 5 * MINUTE),
        (
            [held(ENDED, NOW + 4 * MINUTE, VOID, NOW + 4 * MINUTE), held(SCHEDULED, NOW + 4 * MINUTE, COMING)],
            ENDED,
            NOW + 4 * MINUTE,
            NOW + 4 * MINUTE,
        ),
    ],
)
def test_a_ban_is_merged(
    formers: list[HeldBan | None], state: str, effective_ms: int, lift_effective_ms: int | None
) -> None:
    entries: list[dict[str, Any]] = [encode_owner_bans([] if one is None else [one]) for one in formers]
    for some in (entries, entries[::-1]):
        (merged,) = merged_owner_bans(some, NOW)
        assert (merged.state, merged.effective_ms, merged.lift_effective_ms) == (state, effective_ms, lift_effective_ms)
        assert merged.through == "", "an effect that was applied in part was completed"


def test_bans_of_different_partitions_are_all_kept() -> None:
    other = msgspec.structs.replace(BAN, enforcement_id="cwe-2")
    entries = [encode_owner_bans([held(STANDING)]), encode_owner_bans([held(STANDING, ban=other), held(STANDING)]), {}]
    assert [one.ban.enforcement_id for one in merged_owner_bans(entries, NOW)] == ["cwe-1", "cwe-2"]
