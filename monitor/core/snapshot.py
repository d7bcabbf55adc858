"""The stored state of a shard: the entries that changed, and a small head that is written every time.

The entries are panes (`monitor.core.windows.pane_store`), tenant records (`monitor.core.tenants.tenant_store`), alerts
(`monitor.core.tenants.alert_store`), bans of owners (`monitor.core.owners.held_ban`), and tenant ids: ``n<number>``
holds `NAMES_TOGETHER` ids in the order of the tenant numbers.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from monitor.core.calls.fields import COUNTED
from monitor.core.codec import FORMAT, StateFormatError, Unpacker, check_format, packed
from monitor.core.tenants.tenant_store import page_of
from monitor.core.windows.pane_store import WindowCheckpoint
from monitor.text.state_wording import state_text

NAMES_TOGETHER: Final = 1_000


class ShardCheckpoint(Struct, rename={"closed_ms": "sealed_ms", "windows": "spans"}):  # the names of format 1
    """The stored head of a shard: how far it has evaluated and closed panes, and how many tenants it knows.

    ``newest_ms`` is the largest event time of the closed calls, which bounds early evaluation. ``decided`` is the place
    of the last decided record in the decision order: if many records share an instant, only some may be decided.
    ``partial`` says how far the windows that end at ``at_ms`` are evaluated, None: all of them. ``measured`` is the
    last tenant whose measures of the hour that ends at ``at_ms`` are written, "" if none are, None: those of all.
    ``windows`` holds the heads of the sliding windows by length. ``fields`` names what the panes count of a call, in
    the order of their sums, each with the event time from which it is counted; 0 if always. The name of a field that
    depends on a parameter of the policy has its value behind a colon, as `short:10000`.
    """

    at_ms: int
    closed_ms: int
    newest_ms: int
    tenants: int
    windows: dict[int, WindowCheckpoint]
    decided: tuple[int, int, str, int, tuple[int, int, int, int]] | None = None
    fields: dict[str, int] = {}
    format: int = FORMAT
    partial: tuple[int, str] | None = None
    measured: str | None = None

    def must_match(self) -> None:
        """Check that this release can read the entries. Raises StateFormatError if not.

        The sums of a pane have no names of their own: read by a release with one field more, they would be those of
        other fields.
        """
        check_format(self.format, state_text("head"))
        named = tuple(name for name in self.fields if ":" not in name)
        if named != COUNTED:
            other = sorted({*named}.symmetric_difference(COUNTED))
            raise StateFormatError(state_text("other_fields", fields=", ".join(other)))


class _StoredNames(Struct, array_like=True):
    format: int
    names: list[str]


def entries_of(keys: Iterable[str]) -> set[str]:
    """The keys among ``keys`` that belong to shard entries."""
    return {key for key in keys if (key[:1] in "befhnta" and key[1:].isdigit()) or page_of(key) is not None}


def encode_names(names: Sequence[str], stored: int) -> dict[str, bytes]:
    """The entries to write for ``names``, if the first ``stored`` names are already stored."""
    if stored == len(names):
        return {}
    entries = {}
    for number in range(stored // NAMES_TOGETHER, -(-len(names) // NAMES_TOGETHER)):
        some = names[number * NAMES_TOGETHER : (number + 1) * NAMES_TOGETHER]
        entries[f"n{number}"] = packed(_StoredNames(FORMAT, list(some)))
    return entries


def decode_names(entries: Mapping[str, bytes], count: int) -> list[str]:
    """The ids of ``count`` tenants by number. Raises StateFormatError if any are missing."""
    names: list[str] = []
    unpack = Unpacker(_StoredNames, "an entry of names")
    for number in range(-(-count // NAMES_TOGETHER)):
        blob = entries.get(f"n{number}")
        if blob is None:
            raise StateFormatError(state_text("no_names", number=number, count=count))
        names += unpack(blob).names
    if len(names) != count:
        raise StateFormatError(state_text("other_names", found=len(names), counted=count))
    return names
