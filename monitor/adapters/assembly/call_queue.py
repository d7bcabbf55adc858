"""Calls in the order in which they were added, of all tenants together and of each: the oldest leave first."""

from collections import OrderedDict
from typing import Generic, NamedTuple, TypeVar

from monitor.adapters.assembly.call_event import CallKey

T = TypeVar("T")


class QueueLimits(NamedTuple):
    """The most calls of all tenants and of one, and the most characters that a call has on average."""

    calls: int
    calls_per_tenant: int
    chars_per_call: int


class _Tenant:
    __slots__ = ("calls", "chars")

    def __init__(self) -> None:
        self.calls: OrderedDict[CallKey, None] = OrderedDict()
        self.chars = 0


class CallQueue(Generic[T]):
    """Values by the key of their call, whose last part is the tenant. Each step takes constant time."""

    def __init__(self, limits: QueueLimits) -> None:
        self._limits = limits
        self._values: OrderedDict[CallKey, tuple[T, int]] = OrderedDict()
        self._tenants: dict[str, _Tenant] = {}
        self._chars = 0

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: CallKey) -> T | None:
        """The value of a call."""
        found = self._values.get(key)
        return None if found is None else found[0]

    def put(self, key: CallKey, value: T, chars: int) -> None:
        """Add a call as the newest; one that is there keeps its place, with another value."""
        tenant = self._tenants.setdefault(key[-1], _Tenant())
        before = self._values.get(key)
        grown = chars - (0 if before is None else before[1])
        self._values[key] = value, chars
        tenant.calls[key] = None
        tenant.chars += grown
        self._chars += grown

    def pop(self, key: CallKey) -> T:
        """Take a call out."""
        value, chars = self._values.pop(key)
        tenant = self._tenants[key[-1]]
        del tenant.calls[key]
        tenant.chars -= chars
        self._chars -= chars
        if not tenant.calls:
            del self._tenants[key[-1]]
        return value

    def oldest(self) -> tuple[CallKey, T] | None:
        """The oldest call."""
        key = next(iter(self._values), None)
        return None if key is None else (key, self._values[key][0])

    def surplus(self, newest: CallKey) -> CallKey | None:
        """The call to take out: the oldest of the tenant of ``newest``, or of all, while there are too many."""
        limits, tenant = self._limits, self._tenants[newest[-1]]
        for calls, chars, most in (
            (tenant.calls, tenant.chars, limits.calls_per_tenant),
            (self._values, self._chars, limits.calls),
        ):
            if len(calls) > most or (chars > most * limits.chars_per_call and len(calls) > 1):
                return next(iter(calls))
        return None
