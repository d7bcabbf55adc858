"""What the pages show of policies: which holds, since when, which is scheduled, and which were withdrawn."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, select

from streams.console.policies.in_force import PoliciesInForce, RecordedChange, recorded_changes
from streams.console.policies.tables import POLICIES, POLICY_CHANGES


@dataclass(frozen=True, slots=True)
class PolicyName:
    """A policy by its names, as its author wrote them."""

    id: str
    version: str
    sha256: str


@dataclass(frozen=True, slots=True)
class StandingChange:
    """A change of policy, with the names of its policy. ``scheduled``: it does not apply yet in some partition."""

    policy: PolicyName
    change: RecordedChange
    scheduled: bool
    holds: bool


@dataclass(frozen=True, slots=True)
class WithdrawnChange:
    """A change that was withdrawn before it decided anything, by the withdrawal of its first partition."""

    policy: PolicyName
    from_ms: int
    reason: str
    given_by: str
    at_ms: int


def policy_names(connection: Connection) -> dict[str, PolicyName]:
    """The names of all known policies by hash."""
    p = POLICIES.c
    rows = connection.execute(select(p.id, p.version, p.sha256)).all()
    return {row.sha256: PolicyName(row.id, row.version, row.sha256) for row in rows}


def standing_changes(connection: Connection, policies: PoliciesInForce, now_ms: int) -> list[StandingChange]:
    """The changes that were not withdrawn, the newest first."""
    names, scheduled = policy_names(connection), policies.scheduled(connection, now_ms)
    every = recorded_changes(connection)
    past = [one for one in every if one.from_ms <= now_ms]
    return [
        StandingChange(_named(names, one.sha256), one, one in scheduled, bool(past) and one == past[-1])
        for one in reversed(every)
    ]


def withdrawn_changes(connection: Connection) -> list[WithdrawnChange]:
    """The changes that were withdrawn, the newest withdrawal first."""
    c, names = POLICY_CHANGES.c, policy_names(connection)
    query = select(POLICY_CHANGES).where(c.withdrawn_offset.is_not(None)).order_by(c.withdrawn_ms.desc(), c.partition)
    found: dict[tuple[object, ...], WithdrawnChange] = {}
    for row in connection.execute(query):
        key = (row.sha256, row.from_ms, row.withdrawn_ms)
        found.setdefault(key, _withdrawn(names, row))
    return list(found.values())


def _withdrawn(names: dict[str, PolicyName], row: Row[Any]) -> WithdrawnChange:
    return WithdrawnChange(
        _named(names, row.sha256), row.from_ms, row.withdrawn_reason or "", row.withdrawn_by or "", row.withdrawn_ms
    )


def _named(names: dict[str, PolicyName], sha256: str) -> PolicyName:
    return names.get(sha256) or PolicyName("?", "?", sha256)
