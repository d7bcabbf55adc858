"""Requests to the workers: what was approved, its commands, and each partition's answer.

approved -> sent. An `approved` request becomes commands in the outbox; it ends as `void` if no partition needs them, as
`barred` if another policy was scheduled later meanwhile. The answers to a `sent` one are in the clock topic.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec
from sqlalchemy import Connection, Row, insert, select, update

from monitor.text.bilingual import Bilingual
from monitor.text.masking import mask_text
from streams.console import actions, outbox
from streams.console.actions import About
from streams.console.identity.users import User
from streams.console.policies.tables import POLICY_CHANGES, POLICY_REFUSALS, POLICY_REQUESTS
from streams.console.previews import store as previews
from streams.topics.control_topic import PolicyCommand, WithdrawCommand

Kind = Literal["apply", "withdraw"]
MOST_SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class RequestedChange:
    """Apply the one policy of ``sha256s`` from ``from_ms`` (None: as soon as possible), or withdraw these policies."""

    kind: Kind
    sha256s: tuple[str, ...]
    from_ms: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class PartitionAnswer:
    """The answer of a partition: it accepted the command (a policy from ``from_ms``), refused it, or none yet."""

    partition: int
    state: Literal["accepted", "refused", "unanswered"]
    from_ms: int | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class RequestProgress:
    """A request with the answers of the partitions that it was sent to."""

    row: Row[Any]
    sha256s: tuple[str, ...]
    answers: list[PartitionAnswer]

    @property
    def is_done(self) -> bool:
        """Whether no further answer is expected."""
        ended = self.row.state in ("void", "barred")
        return ended or (self.row.state == "sent" and all(each.state == "accepted" for each in self.answers))


def add(
    connection: Connection,
    wanted: RequestedChange,
    by: tuple[str, str],
    second: User | None,
    proposal_id: str | None,
    now_ms: int,
) -> int:
    """Store an approved request of ``by`` (subject, name) in the caller's transaction; ``second`` approved it, if
    anyone. Returns its number.

    The command is signed with both subjects and this time: with them the workers' answers name it.
    """
    given_by = by[0] if second is None else f"{by[0]} + {second.subject}"
    row = {
        "kind": wanted.kind,
        "sha256s": msgspec.json.encode(wanted.sha256s).decode(),
        "from_ms": wanted.from_ms,
        "reason": mask_text(wanted.reason),
        "given_by": mask_text(given_by),
        "at_ms": _free_time(connection, now_ms),
        "subject": by[0],
        "name": by[1],
        "approved_subject": None if second is None else second.subject,
        "approved_name": None if second is None else second.name,
        "proposal_id": proposal_id,
        "state": "approved",
    }
    return int(connection.execute(insert(POLICY_REQUESTS).values(row).returning(POLICY_REQUESTS.c.number)).scalar_one())


def record_action(
    connection: Connection, by: User, wanted: RequestedChange, proposal_id: str | None, now_ms: int
) -> None:
    """Record that ``by`` approved the change, or made it without a second person, and after which preview, if any."""
    name: Literal["policy_applied", "policy_withdrawn"] = (
        "policy_applied" if wanted.kind == "apply" else "policy_withdrawn"
    )
    details = {"sha256": " ".join(wanted.sha256s)}
    if wanted.kind == "apply":
        details["preview"] = previews.done_with(connection, wanted.sha256s[0]) or "none"
    if wanted.from_ms is not None:
        details["from_ms"] = str(wanted.from_ms)
    about = About(proposal_id=proposal_id, reason=wanted.reason or None, details=details)
    actions.record(connection, by, name, now_ms, about)


def approved(connection: Connection) -> list[Row[Any]]:
    """The requests that are not sent yet, the oldest first."""
    r = POLICY_REQUESTS.c
    return list(connection.execute(select(POLICY_REQUESTS).where(r.state == "approved").order_by(r.number)).all())


def send(
    connection: Connection, row: Row[Any], numbers: Sequence[int], command: PolicyCommand | WithdrawCommand, now_ms: int
) -> bool:
    """Put the command for these partitions into the outbox, in the caller's transaction; False if it was there."""
    from_ms = command.from_ms if isinstance(command, PolicyCommand) else None
    sent = {"state": "sent", "sent_to": msgspec.json.encode(list(numbers)).decode(), "sent_from_ms": from_ms}
    if not _end(connection, row.number, sent | {"sent_ms": now_ms}):
        return False
    value = msgspec.json.encode(command)
    for number in numbers:
        outbox.add(connection, "control", str(number).encode(), value)
    return True


def end(connection: Connection, row: Row[Any], state: Literal["void", "barred"], why: Bilingual) -> bool:
    """End a request that is not sent."""
    return _end(connection, row.number, {"state": state, "why": why.en, "why_zh": why.zh})


def _end(connection: Connection, number: int, values: dict[str, Any]) -> bool:
    r = POLICY_REQUESTS.c
    changed = update(POLICY_REQUESTS).where(r.number == number, r.state == "approved")
    return connection.execute(changed.values(values)).rowcount == 1


def newest(connection: Connection) -> list[RequestProgress]:
    """The newest requests, the newest first."""
    query = select(POLICY_REQUESTS).order_by(POLICY_REQUESTS.c.number.desc()).limit(MOST_SHOWN)
    return [_progress(connection, row) for row in connection.execute(query)]


def signed_by(connection: Connection) -> dict[tuple[str, int], Row[Any]]:
    """All requests by what their commands are signed with."""
    return {(row.given_by, row.at_ms): row for row in connection.execute(select(POLICY_REQUESTS))}


def _progress(connection: Connection, row: Row[Any]) -> RequestProgress:
    sha256s = msgspec.json.decode(row.sha256s, type=tuple[str, ...])
    answers = _answers(connection, row) if row.state == "sent" else []
    return RequestProgress(row, sha256s, answers)


def _answers(connection: Connection, row: Row[Any]) -> list[PartitionAnswer]:
    c, f = POLICY_CHANGES.c, POLICY_REFUSALS.c
    if row.kind == "apply":
        accepted = select(c.partition, c.from_ms).where(c.at_ms == row.at_ms, c.given_by == row.given_by)
    else:
        accepted = select(c.partition, c.from_ms).where(c.withdrawn_ms == row.at_ms, c.withdrawn_by == row.given_by)
    refused = select(f.partition, f.why).where(f.at_ms == row.at_ms, f.given_by == row.given_by)
    found = {
        one.partition: PartitionAnswer(one.partition, "refused", None, one.why) for one in connection.execute(refused)
    }
    found |= {
        one.partition: PartitionAnswer(one.partition, "accepted", one.from_ms) for one in connection.execute(accepted)
    }
    numbers = msgspec.json.decode(row.sent_to, type=list[int])
    return [found.get(number) or PartitionAnswer(number, "unanswered") for number in numbers]


def _free_time(connection: Connection, now_ms: int) -> int:
    """A time that no other request has, so that each command is another record."""
    at_ms = now_ms
    while connection.execute(select(POLICY_REQUESTS.c.number).where(POLICY_REQUESTS.c.at_ms == at_ms)).first():
        at_ms += 1
    return at_ms
