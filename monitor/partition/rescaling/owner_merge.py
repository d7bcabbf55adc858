"""The bans of owners of partitions that are merged: each has taken them at its own watermark, or not yet."""

from collections.abc import Mapping, Sequence

import msgspec

from monitor.core.owners.held_ban import ENDED, SCHEDULED, STANDING, HeldBan, decode_owner_bans
from monitor.core.owners.owner_effect import first_effect


def merged_owner_bans(formers: Sequence[Mapping[str, bytes]], watermark_ms: int) -> list[HeldBan]:
    """The bans that the merged partitions hold, from the entries of the former ones.

    These have all decided everything before ``watermark_ms``. A ban that has taken effect in some of them and is
    unknown to others takes effect right after it, as if the others took it then. Tenants that have its decision get no
    second one.
    """
    held = [{one.ban.enforcement_id: one for one in decode_owner_bans(entries)} for entries in formers]
    ids = sorted({enforcement_id for some in held for enforcement_id in some})
    return [_merged([some.get(enforcement_id) for some in held], watermark_ms) for enforcement_id in ids]


def _merged(held: Sequence[HeldBan | None], watermark_ms: int) -> HeldBan:
    known = [one for one in held if one is not None]
    lifted = next((one for one in known if one.ban.lifted_ms is not None), None)
    states = {one.state for one in known}
    first = min(known, key=lambda one: one.effective_ms)
    if states == {ENDED} or (ENDED in states and SCHEDULED in states):
        # Where it never stood, the lifting is older than any effect that the ban could have.
        return _copy(lifted or first, ENDED)
    ban = (lifted or first).ban
    if STANDING not in states:
        return _copy(first, SCHEDULED, ban=ban, lift_effective_ms=lifted.lift_effective_ms if lifted else None)
    lift_ms = None
    if lifted is not None and ban.lifted_ms is not None:
        lift_ms = max(first_effect(ban.lifted_ms), watermark_ms + 1)
    if lifted is not None or (None not in held and SCHEDULED not in states):
        return _copy(first, STANDING, ban=ban, lift_effective_ms=lift_ms)
    return _copy(first, SCHEDULED, ban=ban, effective_ms=watermark_ms + 1)


def _copy(held: HeldBan, state: str, **fields: object) -> HeldBan:
    return msgspec.structs.replace(held, state=state, through="", **fields)
