"""Handles alerts and decisions: updates tenant states and queues messages in one transaction."""

from collections.abc import Callable, Collection, Sequence
from typing import Final

import msgspec
import structlog
from sqlalchemy import Connection, delete, func, insert, select
from sqlalchemy.exc import DBAPIError

from monitor.text.durations import HOUR
from monitor.text.masking import mask_text
from schemas.outputs import Alert, Enforcement
from streams.consumers.data_loss import RecordsLost
from streams.consumers.database import is_away
from streams.consumers.follower import FollowedRecord
from streams.consumers.notify import outbox, tenants
from streams.consumers.notify.messages.data_loss_message import records_lost
from streams.consumers.notify.rules.digest import summary
from streams.consumers.notify.rules.notification_rules import RuleOutput, SilentMessage
from streams.consumers.notify.rules.rules_by_policy import RulesByPolicy
from streams.consumers.notify.rules.schedule import PendingCase, about_to_lapse, next_summary_ms
from streams.consumers.notify.rules.templates import lapse_soon
from streams.consumers.notify.rules.tenant_state import TenantState
from streams.consumers.notify.rules.throttle import Throttle
from streams.consumers.notify.tables import CLOCK, PENDING, REJECTED, SILENT, TENANTS
from streams.consumers.notify.telemetry import NotifyMetrics
from streams.consumers.record_decoding import UndecodableRecord, alert_of, event_of
from streams.consumers.sql_common import insert_new

log = structlog.get_logger("callwarden")

_AT_ONCE: Final = 500


class NotifyHandler:
    """Handles the records of a `streams.consumers.follower.Follower`, and the timers.

    ``channels`` are the names of the channels; ``clock`` gives epoch ms. All methods but the constructor are called in
    the database's thread, in a transaction.
    """

    def __init__(
        self,
        rules_by_policy: RulesByPolicy,
        throttle: Throttle,
        channels: Collection[str],
        enforcement: str,
        clock: Callable[[], int],
        telemetry: NotifyMetrics,
        summary_hour: int = 9,
    ) -> None:
        self._rules_by_policy, self._throttle, self._channels = rules_by_policy, throttle, list(channels)
        self._enforcement, self._clock = enforcement, clock
        self._summary_hour = summary_hour
        self._telemetry = telemetry
        self._forgot_ms = 0

    def handle(self, connection: Connection, records: Sequence[FollowedRecord]) -> Callable[[], None]:
        """Handle records. Those from before the notifier's first start update the state but send nothing.

        Returns the callback to run after the commit.
        """
        now_ms = self._clock()
        began_ms = self._begin(connection, now_ms)
        read, rejected = [], []
        for record in records:
            try:
                read.append((record, self._decode(record)))
            except UndecodableRecord as error:
                reason = mask_text(str(error))
                log.warning("a record cannot be read", topic=record.tp.topic, at=record.offset, why=reason)
                rejected.append((record, reason))
        known = tenants.load(connection, {_tenant_of(decoded) for _, decoded in read})
        for record, decoded in read:
            tenant_id = _tenant_of(decoded)
            before = msgspec.json.encode(known[tenant_id])
            try:
                with connection.begin_nested():
                    self._take(connection, record, decoded, known[tenant_id], began_ms, now_ms)
            except Exception as error:
                if isinstance(error, DBAPIError) and is_away(error):
                    raise  # not caused by the record: the follower retries
                # A bug with one record must neither stop the messages about all others nor go unnoticed.
                at = {"topic": record.tp.topic, "partition": record.tp.partition, "at": record.offset}
                log.critical("a record could not be handled", **at, exc_info=True)
                known[tenant_id] = msgspec.json.decode(before, type=TenantState)
                rejected.append((record, f"an unexpected error: {type(error).__name__}"))
        tenants.save(connection, known)
        _reject(connection, rejected)
        return lambda: self._telemetry.rejected(len(rejected))

    def lost(self, connection: Connection, lost: RecordsLost) -> Callable[[], None]:
        """Records were deleted before they were handled: send a message about it and continue.

        Returns the callback to run after the commit.
        """
        now_ms, of_alerts = self._clock(), lost.tp.topic != self._enforcement
        if of_alerts:
            # The end of an alert may have been among them.
            tenants.end_alerts(connection, self._channels, now_ms)
        outbox.enqueue(connection, [records_lost(lost, of_alerts, now_ms)], self._channels, now_ms)
        return self._telemetry.lost

    def tick(self, connection: Connection, current: bool = True) -> None:
        """Run the timers: alerts that have lasted, decisions about to lapse, the daily summary.

        Unless ``current``, only the summary runs: unread records may end an alert or review a decision.
        """
        now_ms = self._clock()
        self._begin(connection, now_ms)
        if current:
            self._due(connection, now_ms)
            self._lapses(connection, now_ms)
        self._summarise(connection, now_ms)
        if now_ms - self._forgot_ms >= HOUR:
            outbox.delete_old(connection, now_ms)
            self._forgot_ms = now_ms

    # ------------------------------------------------------------------------------------------------------------

    def _due(self, connection: Connection, now_ms: int) -> None:
        due = select(TENANTS.c.tenant_id).where(TENANTS.c.due_ms <= now_ms).limit(_AT_ONCE)
        known, rules = (
            tenants.load(connection, set(connection.execute(due).scalars())),
            self._rules_by_policy.now(now_ms),
        )
        for tenant_id, tenant in known.items():
            self._enqueue(connection, rules.tick(tenant_id, tenant, now_ms), now_ms)
        tenants.save(connection, known)

    def _decode(self, record: FollowedRecord) -> Alert | Enforcement:
        return event_of(record.value) if record.tp.topic == self._enforcement else alert_of(record.value)

    def _take(
        self,
        connection: Connection,
        record: FollowedRecord,
        decoded: Alert | Enforcement,
        tenant: TenantState,
        began_ms: int,
        now_ms: int,
    ) -> None:
        past, tenant_id = record.timestamp_ms < began_ms, _tenant_of(decoded)
        at_ms = record.timestamp_ms if past else now_ms
        if isinstance(decoded, Alert):
            rules = self._rules_by_policy.at(record.tp.partition, decoded.updated_ms)
            said = rules.alert(tenant_id, tenant, decoded, at_ms)
        else:
            change = self._pend(connection, decoded)
            rules = self._rules_by_policy.at(record.tp.partition, decoded.data.decided_ms)
            said = rules.decision(tenant_id, tenant, decoded, change, at_ms)
        if not past:
            self._enqueue(connection, said, now_ms)

    def _enqueue(self, connection: Connection, said: RuleOutput, now_ms: int) -> None:
        outbox.enqueue(connection, said.messages, self._channels, now_ms)
        if said.silent:
            connection.execute(insert(SILENT), [_row(each) for each in said.silent])

    def _pend(self, connection: Connection, event: Enforcement) -> int:
        """Update the table of pending decisions. Returns by how many rows it grew."""
        data, change = event.data, 0
        for old in (data.supersedes, data.reverses, event.id):
            if old is not None:
                change -= connection.execute(delete(PENDING).where(PENDING.c.id == old)).rowcount
        if data.status == "pending_review":
            change += 1
            connection.execute(
                insert(PENDING).values(
                    id=event.id,
                    tenant_id=event.subject,
                    behaviour=data.behaviour,
                    kind=data.kind,
                    review_by_ms=data.review_by_ms,
                    notified=False,
                )
            )
        return change

    def _lapses(self, connection: Connection, now_ms: int) -> None:
        table, before_ms = PENDING.c, self._throttle.before_lapse_ms
        first = select(func.min(table.review_by_ms)).where(table.notified.is_(False))
        if (first_ms := connection.execute(first).scalar()) is None or first_ms > now_ms + before_ms:
            return  # at most ticks: those that wait are not read each second
        rows = connection.execute(
            select(table.id, table.tenant_id, table.behaviour, table.kind, table.review_by_ms).where(
                table.notified.is_(False), table.review_by_ms <= now_ms + 2 * before_ms
            )
        )
        soon = about_to_lapse([PendingCase(*row) for row in rows], now_ms, before_ms)
        # The topic may be behind: a decision whose deadline has passed is not about to lapse.
        to_notify = [each for each in soon if each.review_by_ms > now_ms]
        if to_notify:
            outbox.enqueue(
                connection, [lapse_soon(to_notify, now_ms, self._rules_by_policy.display)], self._channels, now_ms
            )
        for at in range(0, len(soon), _AT_ONCE):
            ids = [each.id for each in soon[at : at + _AT_ONCE]]
            connection.execute(PENDING.update().where(table.id.in_(ids)).values(notified=True))

    def _summarise(self, connection: Connection, now_ms: int) -> None:
        at_ms = _clock(connection, "summary")
        timezone = self._rules_by_policy.now(now_ms).policy.params.timezone
        next_ms = next_summary_ms(now_ms, self._summary_hour, timezone)
        if at_ms is not None and now_ms < at_ms <= next_ms:
            return
        _set_clock(connection, "summary", next_ms)
        if at_ms is None or now_ms < at_ms:  # later than the next one: the clock was ahead then
            return
        columns = [column for column in SILENT.c if column.name != "number"]
        rows = connection.execute(select(*columns).order_by(SILENT.c.number)).all()
        if rows:
            silent = [SilentMessage(*row) for row in rows]
            outbox.enqueue(connection, [summary(silent, now_ms, self._rules_by_policy.display)], self._channels, now_ms)
            connection.execute(delete(SILENT))

    def _begin(self, connection: Connection, now_ms: int) -> int:
        """When the notifier was first started with this database, epoch ms."""
        policy = None if self._rules_by_policy.begun is None else f"policy {self._rules_by_policy.begun}"[:32]
        if policy is not None and _clock(connection, policy) is None:
            # Alerts under another policy that was not switched to may get no update: the workers have started afresh.
            tenants.end_alerts(connection, self._channels, now_ms)
            connection.execute(delete(CLOCK).where(CLOCK.c.name.startswith("policy ")))
            _set_clock(connection, policy, now_ms)
        began_ms = _clock(connection, "began")
        if began_ms is None or now_ms < began_ms:  # the clock was ahead then, and new records would send nothing
            _set_clock(connection, "began", began_ms := now_ms)
        return began_ms


def _tenant_of(record: Alert | Enforcement) -> str:
    return record.tenant_id if isinstance(record, Alert) else record.subject


def _reject(connection: Connection, rejected: Sequence[tuple[FollowedRecord, str]]) -> None:
    rows = [{**record.tp._asdict(), "offset": record.offset, "reason": reason} for record, reason in rejected]
    if rows:
        # A recreated topic may have an earlier row at the same offset.
        connection.execute(insert_new(connection, REJECTED), rows)


def _row(silent: SilentMessage) -> dict[str, object]:
    return {name: getattr(silent, name) for name in ("tenant_id", "behaviour", "what", "severity", "at_ms", "ref")}


def _clock(connection: Connection, name: str) -> int | None:
    return connection.execute(select(CLOCK.c.at_ms).where(CLOCK.c.name == name)).scalar()


def _set_clock(connection: Connection, name: str, at_ms: int) -> None:
    connection.execute(delete(CLOCK).where(CLOCK.c.name == name))
    connection.execute(insert(CLOCK).values(name=name, at_ms=at_ms))
