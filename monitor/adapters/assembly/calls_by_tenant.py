"""The open calls of each tenant, the oldest first, and how much they keep: what the bounds of the state rest on."""

from collections import Counter, OrderedDict

from monitor.adapters.assembly.call_event import CallKey
from monitor.adapters.assembly.open_call import OpenCall


class CallsByTenant:
    """Follows the open calls: each has one tenant, "" before an event names it."""

    def __init__(self) -> None:
        self.chars = 0
        """The characters that all open calls keep."""
        self._calls: dict[str, OrderedDict[CallKey, None]] = {}
        self._chars: Counter[str] = Counter()

    def __len__(self) -> int:
        """The number of tenants."""
        return len(self._calls)

    def give(self, call: OpenCall) -> None:
        """Add a call, as the newest of its tenant."""
        self._calls.setdefault(call.tenant, OrderedDict())[call.key] = None
        self._chars[call.tenant] += call.chars
        self.chars += call.chars

    def take(self, call: OpenCall) -> None:
        """Remove a call."""
        calls = self._calls[call.tenant]
        del calls[call.key]
        self._chars[call.tenant] -= call.chars
        self.chars -= call.chars
        if not calls:
            del self._calls[call.tenant], self._chars[call.tenant]

    def grow(self, tenant: str, chars: int) -> None:
        """A call of this tenant keeps so many characters more, without a change of its place."""
        self._chars[tenant] += chars
        self.chars += chars

    def oldest_beyond(self, tenant: str, calls: int, chars: int) -> CallKey | None:
        """The tenant's oldest call if it has more calls or characters than that; one call may have any number."""
        own = self._calls[tenant]
        if len(own) > calls or (self._chars[tenant] > chars and len(own) > 1):
            return next(iter(own))
        return None
