"""Section 5, Owners: which bans of tenants ban their owners, and when that takes effect in a replay of files."""

from dataclasses import dataclass
from typing import Any

FIVE_MINUTES = 300_000


def takes_effect(ms: int) -> int:
    """The first whole five minutes after a time."""
    return ms - ms % FIVE_MINUTES + FIVE_MINUTES


@dataclass
class OwnerBan:
    """The ban of an owner: by a final ban, whose ``event`` it is, until ``lifted``."""

    owner: str
    event: dict[str, Any]
    lifted: int | None = None
    begun: bool = False
    ended: bool = False

    @property
    def stands(self) -> bool:
        """Whether it is in effect now."""
        return self.begun and not self.ended

    def next_effect(self) -> tuple[int, int] | None:
        """The instant of its next effect and the time of its cause; None if there is none."""
        begins = takes_effect(self.event["decided_ms"])
        if not self.begun:
            without_effect = self.lifted is not None and self.lifted < begins
            return None if without_effect else (begins, self.event["decided_ms"])
        if self.lifted is None or self.ended:
            return None
        return takes_effect(self.lifted), self.lifted


class Owners:
    """All bans of owners."""

    def __init__(self) -> None:
        self.bans: list[OwnerBan] = []

    def ban(self, owner: str | None, event: dict[str, Any]) -> None:
        """A final ban was decided, of a tenant whose newest record names this owner."""
        if owner is not None and event["behaviour"] != "owner_banned":
            self.bans.append(OwnerBan(owner, event))

    def lift(self, key: Any, at: int) -> None:
        """The decision with this key was reversed or superseded."""
        for ban in self.bans:
            if ban.event["key"] == key and ban.lifted is None:
                ban.lifted = at

    def next_due(self, until: int) -> tuple[int, OwnerBan] | None:
        """The next effect, up to ``until``."""
        due = [(*effect, number) for number, ban in enumerate(self.bans) if (effect := ban.next_effect()) is not None]
        if not due or min(due)[0] > until:
            return None
        at, _, number = min(due)
        return at, self.bans[number]

    def banned(self, owners: set[str]) -> bool:
        """Whether one of these owners is banned."""
        return any(ban.stands and ban.owner in owners for ban in self.bans)
