"""The records of `callwarden.raw`: events (several make one call) and ticks of the clock.

The key of an event is a JSON array of texts: the feed (`feed_of`), and what the events of a call have in common. A
tick has no key: the clocks of its partition's sources follow its timestamp (`monitor.adapters.assembly.assembler`).
"""

from typing import Final

import msgspec

from monitor.adapters.assembly.call_event import CallEvent
from monitor.adapters.assembly.version_event import VersionEvent

TICK: Final = b'{"type":"tick"}'

_KEYS: Final = msgspec.json.Decoder(tuple[str, ...])


def event_key(feed: str, event: CallEvent | VersionEvent) -> bytes:
    """The key of an event or a version: those of one call have the same."""
    return msgspec.json.encode((feed, *event.key))


def feed_of(key: bytes) -> str | None:
    """The feed of an event's key; None if it is not one."""
    try:
        parts = _KEYS.decode(key)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return parts[0] if len(parts) > 1 else None
