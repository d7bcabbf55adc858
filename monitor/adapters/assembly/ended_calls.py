"""The calls that have ended, of all tenants and of each in the order of their ends: the oldest are forgotten first."""

from collections import OrderedDict

from monitor.adapters.assembly.call_event import CallKey
from monitor.adapters.assembly.stored_call import EndedCall


class EndedCalls:
    """At most ``most`` calls, and at most ``most_of_tenant`` of each tenant. Each step takes constant time."""

    def __init__(self, most: int, most_of_tenant: int) -> None:
        self._most, self._most_of_tenant = most, most_of_tenant
        self._calls: OrderedDict[CallKey, EndedCall] = OrderedDict()
        self._of_tenant: dict[str, OrderedDict[CallKey, None]] = {}

    def __len__(self) -> int:
        return len(self._calls)

    def get(self, key: CallKey) -> EndedCall | None:
        """A call."""
        return self._calls.get(key)

    def __contains__(self, key: CallKey) -> bool:
        return key in self._calls

    def add(self, key: CallKey, call: EndedCall) -> None:
        """Add a call, as the newest."""
        self._calls[key] = call
        self._of_tenant.setdefault(call.tenant, OrderedDict())[key] = None

    def surplus(self, tenant: str) -> CallKey | None:
        """The call to forget: the oldest of the tenant that has got one more, or of all, while there are too many."""
        own = self._of_tenant.get(tenant)
        if own is not None and len(own) > self._most_of_tenant:
            return next(iter(own))
        return next(iter(self._calls)) if len(self._calls) > self._most else None

    def oldest_by(self, clock_ms: int) -> CallKey | None:
        """The oldest call, if it is remembered no longer than that."""
        key = next(iter(self._calls), None)
        return key if key is not None and self._calls[key].until_ms <= clock_ms else None

    def forget(self, key: CallKey) -> None:
        """Remove a call."""
        tenant = self._calls.pop(key).tenant
        own = self._of_tenant[tenant]
        del own[key]
        if not own:
            del self._of_tenant[tenant]
