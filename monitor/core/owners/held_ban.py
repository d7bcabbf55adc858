"""The ban of an owner as a shard holds it, and its storage.

Entries: ``b<page>``, in pages of `BANS_TOGETHER`. A ban, its lifting, or a part of its effect rewrites one small page.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct

from monitor.core.codec import FORMAT, Unpacker, packed
from monitor.core.tenants.record_pages import Pages
from schemas.owners import OwnerBan

BANS_TOGETHER: Final = 32

SCHEDULED: Final = "scheduled"
STANDING: Final = "standing"
ENDED: Final = "ended"


class HeldBan(Struct, array_like=True, gc=False):
    """A ban of an owner, and its state in this partition: `SCHEDULED`, `STANDING`, or `ENDED` (lifted, or void).

    It takes effect at ``effective_ms`` and is lifted at ``lift_effective_ms``. While an effect is applied in parts,
    the tenants up to the id ``through`` are done. An ended ban is kept for at least ``retention``, to
    recognise a value that comes again.
    """

    ban: OwnerBan
    effective_ms: int
    state: str = SCHEDULED
    lift_effective_ms: int | None = None
    through: str = ""
    page: int = 0

    @property
    def place(self) -> tuple[int, str]:
        """Its place among the bans of an owner: by time, then by id."""
        return self.ban.decided_ms, self.ban.enforcement_id


class _StoredBans(Struct, array_like=True):
    format: int
    items: list[HeldBan]


def page_number(key: str) -> int | None:
    """The page number in the key of an entry; None if it holds no bans."""
    return int(key[1:]) if key[:1] == "b" and key[1:].isdigit() else None


def encode_page(items: list[HeldBan]) -> bytes:
    """Encode a page."""
    return packed(_StoredBans(FORMAT, items))


def decode_pages(entries: Mapping[str, bytes]) -> dict[int, list[HeldBan]]:
    """Decode the stored pages, ascending. Raises StateFormatError if a format is unknown."""
    unpack = Unpacker(_StoredBans, "stored bans of owners")
    numbers = sorted(number for key in entries if (number := page_number(key)) is not None)
    return {number: unpack(entries[f"b{number}"]).items for number in numbers}


def decode_owner_bans(entries: Mapping[str, bytes]) -> list[HeldBan]:
    """Decode the stored bans of owners. Raises StateFormatError if a format is unknown."""
    return [held for page in decode_pages(entries).values() for held in page]


def encode_owner_bans(bans: Iterable[HeldBan]) -> dict[str, bytes]:
    """Encode bans of owners as entries of their own."""
    pages: Pages[HeldBan] = Pages(BANS_TOGETHER)
    for held in bans:
        pages.add(held)
    return {f"b{number}": encode_page(items) for number, items in pages.changed() if items is not None}
