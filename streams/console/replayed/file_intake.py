"""Gives the console's intake what files of records and their judgement have, as if it came from topics."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, insert

from schemas import codec
from schemas.inputs import Review
from streams.console.evidence.masked_record import masked
from streams.console.evidence.tables import EVIDENCE, KEPT
from streams.console.intake.handler import CaseIntake
from streams.console.replayed.judgement import JudgedFiles, NamedLine
from streams.console.tables import POSITIONS
from streams.consumers.follower import FollowedRecord
from streams.consumers.offsets import hash_of
from streams.consumers.record_decoding import alert_of, event_of
from streams.kafka.api import TP
from streams.kafka.topic_names import TopicNames

Committed = Callable[[], None]
"""To be called after the commit."""


class FileIntake:
    """Stores what is new: each topic has one partition, whose offsets count what was stored.

    What was stored is remembered in memory, since one process fills the database from the beginning.
    """

    def __init__(self, names: TopicNames, intake: CaseIntake, clock: Callable[[], int]) -> None:
        """``clock`` gives epoch ms."""
        self._names, self._intake, self._clock = names, intake, clock
        self._stored: set[tuple[str, str]] = set()
        self._named: set[str] = set()

    def store(self, connection: Connection, judgement: JudgedFiles, took_ms: int) -> Committed:
        """Store what is new in a judgement, which was made ``took_ms`` after the events.

        Returns the callback to run after the commit.
        """
        committed = self._take(connection, list(self._records(judgement, took_ms)))
        new = {name: lines for name, lines in judgement.named.items() if name not in self._named}
        rows = [self._evidence(name, number, line) for name, lines in new.items() for number, line in enumerate(lines)]
        if rows:
            connection.execute(insert(EVIDENCE), rows)

        def done() -> None:
            committed()
            self._named |= new.keys()

        return done

    def store_written(self, connection: Connection, topic: str, key: bytes, value: bytes) -> Committed:
        """Store a record that the console has written; ``topic`` is its name in the outbox. Returns as `store`."""
        name = self._input(topic) if topic == "reviews" else self._names.output(topic)
        return self._take(connection, [FollowedRecord(TP(name, 0), 0, self._clock(), key, value)])

    def _take(self, connection: Connection, records: Sequence[FollowedRecord]) -> Committed:
        """Store those that were not stored before."""
        new: dict[TP, dict[str, FollowedRecord]] = {}
        for record in records:
            hashed = hash_of(record.key, record.value)
            if (record.tp.topic, hashed) not in self._stored:
                new.setdefault(record.tp, {})[hashed] = record
        handled = []
        for tp, by_hash in new.items():
            POSITIONS.begin(connection, {tp: 0}, None)
            start = POSITIONS.known(connection)[tp]
            numbered = [each._replace(offset=start + number) for number, each in enumerate(by_hash.values())]
            handled.append(self._intake.handle(connection, numbered))
            POSITIONS.move(connection, tp, start, start + len(numbered))

        def done() -> None:
            for each in handled:
                each()
            self._stored |= {(tp.topic, hashed) for tp, by_hash in new.items() for hashed in by_hash}

        return done

    def _records(self, judgement: JudgedFiles, took_ms: int) -> Iterator[FollowedRecord]:
        for value in judgement.inputs:
            record = codec.read(value)
            topic = self._input("reviews" if isinstance(record, Review) else "tenants")
            yield FollowedRecord(TP(topic, 0), 0, codec.event_time(record), record.tenant_id.encode(), value)
        for name, events in (("enforcement", judgement.enforcement), ("shadow", judgement.shadow)):
            for value in events:
                event = event_of(value)
                at_ms = event.data.decided_ms + took_ms
                yield FollowedRecord(TP(self._names.output(name), 0), 0, at_ms, event.subject.encode(), value)
        for value in judgement.alerts:
            alert = alert_of(value)
            at_ms = alert.updated_ms + took_ms
            yield FollowedRecord(TP(self._names.output("alerts"), 0), 0, at_ms, alert.tenant_id.encode(), value)

        for value in judgement.measures:
            yield FollowedRecord(TP(self._names.output("measures"), 0), 0, judgement.last_ms + took_ms, None, value)

    def _evidence(self, name: str, number: int, line: NamedLine) -> dict[str, Any]:
        record = codec.read(line.raw)
        return {
            "enforcement_id": name,
            "number": number,
            "tenant_id": record.tenant_id,
            "topic": line.file,
            "partition": 0,
            "offset": line.line,
            "state": KEPT,
            "added_ms": self._clock(),
            "value": msgspec.json.encode(masked(record)),
        }

    def _input(self, name: str) -> str:
        return f"{self._names.input_prefix}{name}"
