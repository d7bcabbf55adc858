"""The extensions in C that this process uses."""

from monitor.core import codec
from monitor.core.alerts import native_bounds, native_recent
from monitor.core.calls import native_ids, native_newest, native_strings
from monitor.core.measures import native_measures
from monitor.core.rules import native_pairs
from monitor.core.windows import native_sums
from monitor.core.windows.distinct import native_ahead, native_keys, native_running, native_uses
from monitor.decoding import native as decoding
from streams.kafka.fetch import native as fetching
from streams.kafka.produce import native_batches


def in_use() -> dict[str, bool]:
    """Each extension of the project, and whether this process uses it."""
    return {
        "monitor.core._codec": codec.enabled,
        "monitor.core.alerts._bounds": native_bounds.enabled,
        "monitor.core.alerts._recent": native_recent.enabled,
        "monitor.core.calls._ids": native_ids.enabled,
        "monitor.core.calls._newest": native_newest.enabled,
        "monitor.core.calls._strings": native_strings.enabled,
        "monitor.core.measures._measures": native_measures.enabled,
        "monitor.core.rules._pairs": native_pairs.enabled,
        "monitor.core.windows._sums": native_sums.enabled,
        "monitor.core.windows.distinct._ahead": native_ahead.enabled,
        "monitor.core.windows.distinct._keys": native_keys.enabled,
        "monitor.core.windows.distinct._running": native_running.enabled,
        "monitor.core.windows.distinct._uses": native_uses.enabled,
        "monitor.decoding._calls": decoding.enabled,
        "streams.kafka.fetch._records": fetching.enabled,
        "streams.kafka.produce._batches": native_batches.enabled,
    }


def missing() -> list[str]:
    """The extensions that are not used by this process, so that Python does their work."""
    return [name for name, used in in_use().items() if not used]
