"""Reads the topic of owners: bans of owners and their liftings."""

from typing import Final

import msgspec

from schemas.codec import flaw
from schemas.owners import OwnerBan
from streams.kafka.api import TP, Cluster, FetchedBatch

_MOST_BYTES: Final = 16_384  # several times what the longest ids need
_DECODER: Final = msgspec.json.Decoder(OwnerBan)


def decode_owner_ban(key: bytes | None, value: bytes | None) -> OwnerBan | str:
    """The ban in a record of the topic, or why it is none: such a record was written by another program."""
    if value is None:
        return "it has no value; expected a ban of an owner: bans are never deleted, they are lifted"
    if len(value) > _MOST_BYTES:
        return f"it has {len(value):,} bytes; expected at most {_MOST_BYTES:,}"
    if (wrong := flaw(value)) is not None:
        return wrong
    try:
        ban = _DECODER.decode(value)
        expected = ban.enforcement_id.encode()
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        return f"expected a ban of an owner: {error}"
    if key != expected:
        return "its key is not its enforcement_id; expected the id of the banning decision"
    if ban.lifted_ms is not None and ban.lifted_ms < ban.decided_ms:
        return f"lifted_ms {ban.lifted_ms} is before decided_ms {ban.decided_ms}"
    return ban


async def newest_owner_bans(cluster: Cluster, tp: TP, start: int, end: int) -> list[OwnerBan]:
    """The newest value of each ban, without those that are invalid. Raises TransientError and PermanentError."""
    found: dict[str, OwnerBan] = {}
    async for fetched in cluster.read(tp, start, end):
        for _, ban in owner_bans_in(fetched):
            if not isinstance(ban, str) and (ban.lifted_ms is not None or ban.enforcement_id not in found):
                found[ban.enforcement_id] = ban
    return list(found.values())


def owner_bans_in(fetched: FetchedBatch) -> list[tuple[int, OwnerBan | str]]:
    """The fetched values with their offsets; for an invalid record the reason."""
    found: list[tuple[int, OwnerBan | str]] = []
    for offset, key, value in zip(fetched.offsets.tolist(), fetched.keys, fetched.values, strict=True):
        bad = fetched.unreadable.get(offset)
        found.append((offset, decode_owner_ban(key, value) if bad is None else bad.reason))
    return found
