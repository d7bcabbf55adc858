"""State: what a shard writes so that it can go on after a restart: entries that changed, and a small head every time.

Entries: panes as `monitor.core.windows.pane_store` says; ``n<number>`` the tenants' ids, `NAMES_TOGETHER` in each in
the order of their numbers; the standings as `monitor.core.tenants.tenant_store` says, the alerts as
`monitor.core.tenants.alert_store` says.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from monitor.core.codec import FORMAT, StateFormatError, Unpacker, packed
from monitor.core.tenants.tenant_store import page_of
from monitor.core.windows.pane_store import WindowCheckpoint

NAMES_TOGETHER: Final = 1_000


class ShardCheckpoint(Struct):
    """What a shard is besides its entries: how far it has judged and sealed, how many tenants it knows.

    ``newest_ms`` is the largest event time of the sealed calls: how far looks ahead reach. ``decided`` is the place in
    the decision order of the last record that was decided: with many of one instant, not all of it may have been.
    """

    at_ms: int
    sealed_ms: int
    newest_ms: int
    tenants: int
    spans: dict[int, WindowCheckpoint]
    decided: tuple[int, int, str, int, tuple[int, int, int, int]] | None = None
    format: int = FORMAT


class _StoredNames(Struct, array_like=True):
    format: int
    names: list[str]


def entries_of(keys: Iterable[str]) -> set[str]:
    """Those of these keys under which a shard's entries are stored."""
    return {key for key in keys if (key[:1] in "fhnta" and key[1:].isdigit()) or page_of(key) is not None}


def encode_names(names: Sequence[str], stored: int) -> dict[str, bytes]:
    """The entries that store ``names``, of which the first ``stored`` are stored already."""
    if stored == len(names):
        return {}
    entries = {}
    for number in range(stored // NAMES_TOGETHER, -(-len(names) // NAMES_TOGETHER)):
        some = names[number * NAMES_TOGETHER : (number + 1) * NAMES_TOGETHER]
        entries[f"n{number}"] = packed(_StoredNames(FORMAT, list(some)))
    return entries


def decode_names(entries: Mapping[str, bytes], count: int) -> list[str]:
    """The ids of ``count`` tenants by number. StateFormatError when some are missing."""
    names: list[str] = []
    unpack = Unpacker(_StoredNames, "an entry of names")
    for number in range(-(-count // NAMES_TOGETHER)):
        blob = entries.get(f"n{number}")
        if blob is None:
            raise StateFormatError(f"the stored state lacks n{number}, with names of its {count} tenants")
        names += unpack(blob).names
    if len(names) != count:
        raise StateFormatError(f"the stored state has the names of {len(names)} tenants; its head counts {count}")
    return names
