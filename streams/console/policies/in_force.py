"""Which policy the workers apply, and which they will: what they recorded, else the one that the settings name."""

from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import Any, Final

import structlog
from sqlalchemy import Connection, Row, select

from monitor.partition.journal import PolicyChange
from monitor.policy.load import PolicyError, load, load_text
from monitor.policy.model import Policy
from streams.console.policies import texts
from streams.console.policies.tables import POLICY_CHANGES
from streams.settings.load import Settings
from streams.topics.policy_log import LoggedPolicies

log = structlog.get_logger("callwarden")

_KEPT: Final = 16


def policy_of_settings(settings: Settings) -> Policy:
    """The policy that the settings name."""
    return load(None) if settings.policy is None else _loaded(str(settings.policy))[0]


@lru_cache(maxsize=2)
def _loaded(path: str) -> tuple[Policy, str]:
    """The policy and its text, read together: the file may be changed later, and the policy stays."""
    return load_text(path)


@dataclass(frozen=True, slots=True)
class RecordedChange:
    """A change of policy that still stands in at least one partition: the same command has the same time in all."""

    sha256: str
    from_ms: int
    partitions: tuple[int, ...]
    reason: str
    given_by: str
    at_ms: int


class PoliciesInForce:
    """The policies by the workers' clock logs, as far as the console has read them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._warned: set[str] = set()
        self._kept: dict[str, Policy] = {}
        self.judged_ms: dict[int, int] = {}
        """Up to when each partition has judged, where that is known."""

    def now(self, connection: Connection, now_ms: int) -> Policy:
        """The policy of this event time: of the latest change by then in any partition."""
        past = [one for one in recorded_changes(connection) if one.from_ms <= now_ms]
        return self._read(connection, past[-1].sha256 if past else None)

    def newest(self, connection: Connection) -> Policy:
        """The policy of the latest change, which may be scheduled: what another one would replace."""
        every = recorded_changes(connection)
        return self._read(connection, every[-1].sha256 if every else None)

    def of(self, connection: Connection, sha256: str) -> Policy | None:
        """The policy of this hash; None if it is not known, or if this release cannot read it."""
        if (kept := self._kept.get(sha256)) is not None:
            return kept
        if policy_of_settings(self._settings).sha256 == sha256:
            return policy_of_settings(self._settings)
        try:
            found = texts.policy_of(connection, sha256)
        except PolicyError as error:
            self._warn_once(str(error))
            return None
        if found is not None:
            if len(self._kept) >= _KEPT:
                self._kept = {}
            self._kept[sha256] = found
        return found

    def text_of(self, connection: Connection, policy: Policy) -> str:
        """The policy as a file: as it was written if that is known here, else with every value written out."""
        source = texts.source_of(connection, policy.sha256)
        if source is not None:
            return source
        if self._settings.policy is not None:
            of_settings, text = _loaded(str(self._settings.policy))
            if of_settings.sha256 == policy.sha256:
                return text
        return texts.full_text(policy)

    def logged(self, connection: Connection, now_ms: int) -> dict[int, LoggedPolicies]:
        """The standing changes of each partition. Where it is not known up to when it has judged: up to now."""
        found: dict[int, LoggedPolicies] = {}
        c = POLICY_CHANGES.c
        query = select(POLICY_CHANGES).where(c.withdrawn_offset.is_(None)).order_by(c.partition, c.from_ms)
        for row in connection.execute(query):
            one = found.setdefault(row.partition, LoggedPolicies(self.judged_ms.get(row.partition, now_ms)))
            one.changes.append(PolicyChange(row.from_ms, row.sha256, {}, row.reason, row.given_by, row.at_ms))
        return found

    def scheduled(self, connection: Connection, now_ms: int) -> list[RecordedChange]:
        """The changes that do not apply yet in some partition, in order of time."""
        coming = {
            (change.from_ms, change.sha256) for one in self.logged(connection, now_ms).values() for change in one.coming
        }
        return [one for one in recorded_changes(connection) if (one.from_ms, one.sha256) in coming]

    def _read(self, connection: Connection, sha256: str | None) -> Policy:
        found = None if sha256 is None else self.of(connection, sha256)
        return policy_of_settings(self._settings) if found is None else found

    def _warn_once(self, why: str) -> None:
        if why not in self._warned:
            self._warned.add(why)
            log.warning("this release cannot read a policy of the workers", why=why)


def recorded_changes(connection: Connection) -> list[RecordedChange]:
    """All changes that were not withdrawn, by time; those of all partitions with one time and hash are one."""
    c = POLICY_CHANGES.c
    query = select(POLICY_CHANGES).where(c.withdrawn_offset.is_(None)).order_by(c.from_ms, c.sha256, c.partition)
    rows = groupby(connection.execute(query).all(), key=lambda row: (row.from_ms, row.sha256))
    return [_change(list(some)) for _, some in rows]


def _change(rows: list[Row[Any]]) -> RecordedChange:
    first = rows[0]
    partitions = tuple(row.partition for row in rows)
    return RecordedChange(first.sha256, first.from_ms, partitions, first.reason, first.given_by, first.at_ms)
