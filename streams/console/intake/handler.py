"""Handles the records of the followed topics, in the transaction that advances the position."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import structlog
from sqlalchemy import Connection, insert
from sqlalchemy.exc import DBAPIError

from monitor.text.masking import mask_text
from streams.console import outbox
from streams.console.intake import (
    case_events,
    evidence_places,
    input_records,
    measure_records,
    past_actions,
    policy_records,
)
from streams.console.tables import LOSSES, REJECTED
from streams.console.telemetry import ConsoleMetrics
from streams.consumers.data_loss import RecordsLost
from streams.consumers.database import is_away
from streams.consumers.follower import FollowedRecord
from streams.consumers.record_decoding import UndecodableRecord
from streams.consumers.sql_common import insert_new
from streams.kafka.topic_names import TopicNames

log = structlog.get_logger("callwarden")

Store = Callable[[Connection, FollowedRecord], None]
"""Stores one record. Raises UndecodableRecord."""

_OUTPUTS: Final[Mapping[str, Store]] = {
    "enforcement": case_events.store_decision,
    "shadow": case_events.store_shadow,
    "alerts": case_events.store_alert,
    "evidence": evidence_places.store_places,
    "measures": measure_records.store_measures,
    "actions": past_actions.store_action,
    "clock": policy_records.store_entry,
    "control": policy_records.store_command,
}
_INPUTS: Final[Mapping[str, Store]] = {
    "reviews": input_records.store_review,
    "tenants": input_records.store_tenant,
}


def followed_topics(names: TopicNames) -> dict[str, Store]:
    """The topics that the console follows, and what stores their records."""
    return {names.output(name): store for name, store in _OUTPUTS.items()} | {
        f"{names.input_prefix}{name}": store for name, store in _INPUTS.items()
    }


class CaseIntake:
    """Handles records for a `streams.consumers.follower.Follower`. A record that cannot be read is put aside."""

    def __init__(self, names: TopicNames, telemetry: ConsoleMetrics, clock: Callable[[], int]) -> None:
        """``clock`` gives epoch ms."""
        self._stores, self._telemetry, self._clock = followed_topics(names), telemetry, clock
        self._measures = names.output("measures")
        self._of_outbox = {f"{names.input_prefix}reviews", names.output("actions"), names.output("control")}

    def handle(self, connection: Connection, records: Sequence[FollowedRecord]) -> Callable[[], None]:
        """Handle records. Returns the callback to run after the commit."""
        measures = [record for record in records if record.tp.topic == self._measures]
        # Most records are measures: they are stored together.
        rejected = measure_records.store_all(connection, measures) if measures else []
        for record in records:
            if record.tp.topic == self._measures:
                continue
            try:
                with connection.begin_nested():
                    self._stores[record.tp.topic](connection, record)
            except UndecodableRecord as error:
                reason = mask_text(str(error))
                log.warning("a record cannot be read", **_place(record), why=reason)
                rejected.append((record, reason))
            except Exception as error:
                if isinstance(error, DBAPIError) and is_away(error):
                    raise  # not caused by the record: the follower retries
                # A bug with one record must neither stop all others nor go unnoticed.
                log.critical("a record could not be handled", **_place(record), exc_info=True)
                rejected.append((record, f"an unexpected error: {type(error).__name__}"))
        written = [(record.key, record.value) for record in records if record.tp.topic in self._of_outbox]
        if written:
            outbox.mark_found(connection, written, self._clock())
        if rejected:
            rows = [{**record.tp._asdict(), "offset": record.offset, "reason": reason} for record, reason in rejected]
            # A recreated topic may have an earlier row at the same offset.
            connection.execute(insert_new(connection, REJECTED), rows)
        return lambda: self._telemetry.rejected(len(rejected))

    def pass_over(self, connection: Connection, lost: RecordsLost) -> Callable[[], None]:
        """Records were deleted before they were handled: remember where, and continue after them."""
        row = {**lost.tp._asdict(), "first": lost.offset, "stop": lost.start, "at_ms": self._clock()}
        connection.execute(insert(LOSSES).values(row))
        return self._telemetry.lost


def _place(record: FollowedRecord) -> dict[str, object]:
    return {"topic": record.tp.topic, "partition": record.tp.partition, "at": record.offset}
