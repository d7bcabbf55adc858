"""How long a sign-in must wait after failures, without letting anybody lock another person out."""

import math
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Final

_FREE: Final = 5
_FREE_UNDER_ATTACK: Final = 1
_FREE_OF_ADDRESS: Final = 50
_FREE_OF_DEVICE: Final = 10
_ATTACK: Final = 20
"""So many failures on one account, from wherever, count as an attack on it."""
_LONGEST_S: Final = 900.0
_LONGEST_OF_ADDRESS_S: Final = 60.0
_FORGET_S: Final = 3_600.0
_MOST: Final = 20_000


@dataclass(slots=True)
class _Strikes:
    count: int
    last_s: float


class _Counts:
    """Failures by key; the least recently touched are forgotten first, which lets an attempt in and locks nobody."""

    def __init__(self, now_s: Callable[[], float], most: int) -> None:
        self._now_s, self._most = now_s, most
        self._of: OrderedDict[Hashable, _Strikes] = OrderedDict()

    def of(self, key: Hashable) -> _Strikes | None:
        found = self._of.get(key)
        if found is not None and self._now_s() - found.last_s > _FORGET_S:
            del self._of[key]
            return None
        return found

    def add(self, key: Hashable) -> None:
        found = self.of(key)
        if found is None:
            self._of[key] = _Strikes(1, self._now_s())
            if len(self._of) > self._most:
                self._of.popitem(last=False)
        else:
            found.count, found.last_s = found.count + 1, self._now_s()
            self._of.move_to_end(key)

    def take_back(self, key: Hashable) -> None:
        found = self._of.get(key)
        if found is not None:
            found.count -= 1
            if found.count <= 0:
                del self._of[key]

    def clear(self, key: Hashable) -> None:
        self._of.pop(key, None)

    def wait_s(self, key: Hashable, free: int, longest_s: float) -> float:
        found = self.of(key)
        if found is None or found.count < free:
            return 0.0
        pause_s = min(longest_s, 2.0 ** min(found.count - free, 30))
        return max(0.0, found.last_s + pause_s - self._now_s())

    def __len__(self) -> int:
        return len(self._of)


class SignInThrottle:
    """Counts failed sign-ins in memory, and says how long the next attempt must wait.

    - A browser in which the user has signed in before (``device``, verified by the caller) is counted by itself:
      failures from elsewhere do not slow it.
    - Any other is counted by account and address together, and by its address over all accounts. Past some failures
      the pause doubles, up to 15 minutes; over all accounts of one address up to a minute.
    - An account that is under attack from many addresses grants each of them one free attempt rather than five. So
      there is no number of failures from elsewhere that locks a person out.
    """

    def __init__(self, now_s: Callable[[], float], most: int = _MOST) -> None:
        self._pairs, self._addresses, self._accounts, self._devices = (_Counts(now_s, most) for _ in range(4))

    def begin(self, account: str, address: str, device: str | None) -> float:
        """0.0, and the attempt counts as failed until it has succeeded; or the seconds to wait, and nothing changes.

        Counted before the password is checked, or a thousand attempts at the same time would all be free.
        """
        name, net = account.casefold(), network_of(address)
        if device is not None:
            if wait_s := self._devices.wait_s(device, _FREE_OF_DEVICE, _LONGEST_S):
                return wait_s
            self._devices.add(device)
            return 0.0
        attacked = self._accounts.of(name)
        free = _FREE_UNDER_ATTACK if attacked is not None and attacked.count >= _ATTACK else _FREE
        wait_s = max(
            self._pairs.wait_s((name, net), free, _LONGEST_S),
            self._addresses.wait_s(net, _FREE_OF_ADDRESS, _LONGEST_OF_ADDRESS_S),
        )
        if wait_s:
            return wait_s
        self._pairs.add((name, net))
        self._addresses.add(net)
        self._accounts.add(name)
        return 0.0

    def succeeded(self, account: str, address: str, device: str | None) -> None:
        """The attempt that `begin` let through was no failure."""
        name, net = account.casefold(), network_of(address)
        if device is not None:
            self._devices.clear(device)
            return
        self._pairs.clear((name, net))
        # The other failures of this address and on this account stay: a success of one's own must not free guesses.
        self._addresses.take_back(net)
        self._accounts.take_back(name)

    def __len__(self) -> int:
        return len(self._pairs) + len(self._addresses) + len(self._accounts) + len(self._devices)


def network_of(address: str) -> str:
    """What is counted as one address: of IPv6 the network of 64 bits, which one customer has as a whole."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return f"{IPv6Address(int(parsed) >> 64 << 64)}/64"
    return str(parsed)


def whole_seconds(wait_s: float) -> int:
    """The seconds of a `Retry-After` header."""
    return max(1, math.ceil(wait_s))
