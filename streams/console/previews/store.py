"""Previews in the database: requested, renewed while they run, ended once, forgotten after a while."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, and_, delete, func, insert, or_, select, update

from monitor.text.durations import DAY
from streams.console.previews.result import PreviewResult
from streams.console.previews.tables import PREVIEWS
from streams.console.previews.task import Done, Failed, Progress, Source
from streams.console.tables import REVIEWS

DEAD_MS: Final = 20_000
"""A preview whose console has not renewed it for this long is interrupted."""
KEPT_MS: Final = 30 * DAY
_MOST_KEPT: Final = 500
_MOST_OPEN: Final = 8
"""Previews that wait or run, over all users and consoles."""
_MOST_TENANTS: Final = 200_000
_OPEN: Final = ("queued", "running")
_SHOWN: Final = [column for column in PREVIEWS.c if column.name != "result"]


@dataclass(frozen=True, slots=True)
class PreviewRequest:
    """A request for a preview: the records to judge, and the policy to compare with.

    ``source``: the topics, the files of a replay, or an uploaded file. ``days``: how many days of the first two, 0 for
    all records in them.
    ``base``: name and hash of the policy to compare with. ``format`` and ``constants``: of the file.
    """

    source: Source
    days: int
    title: str
    base: tuple[str, str]
    draft_id: str | None = None
    file_name: str | None = None
    file_bytes: int = 0
    format: str = ""
    constants: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Preview:
    """A preview without its result. ``state`` is ``interrupted`` also if its console has not renewed it."""

    id: str
    draft_id: str | None
    subject: str
    name: str
    state: str
    source: Source
    days: int
    file_name: str | None
    file_bytes: int
    format: str | None
    title: str
    policy_sha256: str | None
    base_name: str
    base_sha256: str
    asked_ms: int
    started_ms: int | None
    ended_ms: int | None
    alive_ms: int
    step: str
    read: int
    total: int
    why: str | None
    detail: str | None
    detail_zh: str | None

    @property
    def is_open(self) -> bool:
        """Whether it waits or runs."""
        return self.state in _OPEN


class PreviewRefused(Exception):
    """A preview that is not started; ``key`` is the end of its text's key."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def add(connection: Connection, preview_id: str, requested: PreviewRequest, by: tuple[str, str], now_ms: int) -> None:
    """Queue a preview. Raises PreviewRefused: one at a time for each user, and few in all."""
    interrupt_dead(connection, now_ms)
    c = PREVIEWS.c
    subjects = list(connection.execute(select(c.subject).where(c.state.in_(_OPEN))).scalars())
    if by[0] in subjects:
        raise PreviewRefused("one_at_a_time")
    if len(subjects) >= _MOST_OPEN:
        raise PreviewRefused("queue_full")
    row: dict[str, Any] = {
        "id": preview_id,
        "draft_id": requested.draft_id,
        "subject": by[0],
        "name": by[1],
        "state": "queued",
        "source": requested.source,
        "days": requested.days,
        "file_name": requested.file_name,
        "file_bytes": requested.file_bytes,
        "format": requested.format or None,
        "title": requested.title,
        "base_name": requested.base[0],
        "base_sha256": requested.base[1],
        "asked_ms": now_ms,
        "alive_ms": now_ms,
        "step": "queued",
        "read": 0,
        "total": 0,
    }
    connection.execute(insert(PREVIEWS).values(row))
    _forget(connection, now_ms)


def start(connection: Connection, preview_id: str, now_ms: int) -> bool:
    """Mark it as running; False if it does not wait any more."""
    values = {"state": "running", "started_ms": now_ms, "alive_ms": now_ms, "step": "scan"}
    return _change(connection, preview_id, ("queued",), values)


def renew(connection: Connection, running: Mapping[str, Progress | None], now_ms: int) -> set[str]:
    """Renew these previews and store their progress, if known. Returns those that are still open."""
    still = set()
    for preview_id, at in sorted(running.items()):
        values: dict[str, Any] = {"alive_ms": now_ms}
        if at is not None:
            values |= {"step": at.step, "read": at.read, "total": at.total}
        if _change(connection, preview_id, _OPEN, values):
            still.add(preview_id)
    return still


def finish(connection: Connection, preview_id: str, ended: Done | Failed, now_ms: int) -> bool:
    """Store how it ended, unless it has ended otherwise."""
    values: dict[str, Any] = {"ended_ms": now_ms}
    if isinstance(ended, Done):
        result = ended.result
        values |= {"state": "done", "result": msgspec.json.encode(result), "policy_sha256": result.after.sha256}
    else:
        details = {"detail": ended.detail[:600], "detail_zh": ended.detail_zh[:600] or None}
        values |= {"state": "failed", "why": ended.why[:32]} | details
    return _change(connection, preview_id, _OPEN, values)


def end(connection: Connection, preview_id: str, state: str, now_ms: int) -> bool:
    """End it without a result, as ``cancelled`` or ``interrupted``; False if it has ended already."""
    return _change(connection, preview_id, _OPEN, {"state": state, "ended_ms": now_ms})


def interrupt_dead(connection: Connection, now_ms: int) -> int:
    """Mark the previews of consoles that have ended; returns how many."""
    dead = update(PREVIEWS).where(PREVIEWS.c.state.in_(_OPEN), PREVIEWS.c.alive_ms <= now_ms - DEAD_MS)
    return connection.execute(dead.values(state="interrupted", ended_ms=now_ms)).rowcount


def preview_of(connection: Connection, preview_id: str, now_ms: int) -> Preview | None:
    """The preview of that id."""
    row = connection.execute(select(*_SHOWN).where(PREVIEWS.c.id == preview_id)).one_or_none()
    return None if row is None else _preview(row, now_ms)


def result_of(connection: Connection, preview_id: str) -> PreviewResult | None:
    """The result of a preview that is done."""
    query = select(PREVIEWS.c.result).where(PREVIEWS.c.id == preview_id, PREVIEWS.c.state == "done")
    value = connection.execute(query).scalar()
    return None if value is None else msgspec.json.decode(value, type=PreviewResult)


def newest(
    connection: Connection, now_ms: int, most: int, draft_id: str | None = None, after: str = ""
) -> list[Preview]:
    """The newest previews, also only those of a draft, after the cursor ``after``."""
    c, wanted = PREVIEWS.c, list[ColumnElement[bool]]()
    if draft_id is not None:
        wanted.append(c.draft_id == draft_id)
    at_text, _, id_ = after.partition("-")
    if at_text.isascii() and at_text.isdigit() and len(at_text) < 15:
        at_ms = int(at_text)
        wanted.append(or_(c.asked_ms < at_ms, and_(c.asked_ms == at_ms, c.id < id_)))
    query = select(*_SHOWN).where(*wanted).order_by(c.asked_ms.desc(), c.id.desc()).limit(most)
    return [_preview(row, now_ms) for row in connection.execute(query)]


def done_with(connection: Connection, policy_sha256: str) -> str | None:
    """The id of the newest finished preview of a policy; None if nobody has previewed it."""
    c = PREVIEWS.c
    query = select(c.id).where(c.policy_sha256 == policy_sha256, c.state == "done").order_by(c.asked_ms.desc()).limit(1)
    return connection.execute(query).scalar()


def upheld(connection: Connection) -> dict[str, bool]:
    """By tenant, whether a review has upheld a decision about it; tenants with overturned ones alone are False."""
    c = REVIEWS.c
    query = (
        select(c.tenant_id, func.max(c.verdict))  # uphold sorts after overturn
        .where(c.verdict.in_(("uphold", "overturn")))
        .group_by(c.tenant_id)
        .order_by(c.tenant_id)
        .limit(_MOST_TENANTS)
    )
    return {tenant_id: verdict == "uphold" for tenant_id, verdict in connection.execute(query)}


def _change(connection: Connection, preview_id: str, states: Sequence[str], values: dict[str, Any]) -> bool:
    changed = update(PREVIEWS).where(PREVIEWS.c.id == preview_id, PREVIEWS.c.state.in_(states))
    return connection.execute(changed.values(values)).rowcount == 1


def _forget(connection: Connection, now_ms: int) -> None:
    """Delete old previews: results name tenants."""
    c = PREVIEWS.c
    ended = c.state.not_in(_OPEN)
    connection.execute(delete(PREVIEWS).where(ended, c.asked_ms < now_ms - KEPT_MS))
    oldest = connection.execute(select(c.asked_ms).order_by(c.asked_ms.desc()).offset(_MOST_KEPT).limit(1)).scalar()
    if oldest is not None:
        connection.execute(delete(PREVIEWS).where(ended, c.asked_ms <= oldest))


def _preview(row: "Row[Any]", now_ms: int) -> Preview:
    fields = dict(row._mapping)
    if fields["state"] in _OPEN and fields["alive_ms"] <= now_ms - DEAD_MS:
        fields["state"] = "interrupted"
    return Preview(**fields)
