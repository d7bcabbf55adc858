"""Commands that read the ledger change no database and send nothing, on a real Kafka, SQLite and PostgreSQL."""

import asyncio
import time
import uuid
from pathlib import Path
from typing import Any

import psycopg
import pytest
from aiokafka import AIOKafkaProducer
from broker_clusters import cluster_at
from postgres import Postgres
from sqlalchemy import MetaData, Table, inspect, make_url, select
from test_reviews_live import Reviewer
from worker_traffic import make_topics

from oracle.ledger import pending
from schemas import codec
from streams.consumers.database import Database
from streams.consumers.ledger.catch_up import catch_up
from streams.kafka.api import TP
from streams.kafka.topic_names import TopicNames
from streams.reviews.reservations import ReviewedBy, claim

pytestmark = pytest.mark.services

READ = (
    ("reviews", "list", "--status", "all"),
    ("reviews", "list", "--json"),
    ("reviews", "show", "cwe-p"),
    ("ledger", "show", "acme"),
    ("ledger", "verify"),
    ("policy", "status"),
)


def held_by(url: str) -> Any:
    """The whole content of a database: a file's bytes, or the rows of all tables."""
    address = make_url(url)
    if address.get_backend_name() == "sqlite":
        return Path(address.database or "").read_bytes()
    database = Database(url, "ledger", read_only=True)
    with database.reading() as connection:
        tables = [Table(name, MetaData(), autoload_with=connection) for name in inspect(connection).get_table_names()]
        held = {table.name: sorted(map(repr, connection.execute(select(table)))) for table in tables}
    database.close()
    return held


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_read_only_commands_change_nothing(address: str, postgres: Postgres, tmp_path: Path, kind: str) -> None:
    own = uuid.uuid4().hex[:8]
    names = TopicNames(f"{own}.in.", f"{own}.out.")
    url = f"sqlite:///{tmp_path / 'ledger.db'}" if kind == "sqlite" else postgres.database("read_only")
    variables = {
        "CALLWARDEN_BOOTSTRAP_SERVERS": address,
        "CALLWARDEN_INPUT_PREFIX": names.input_prefix,
        "CALLWARDEN_OUTPUT_PREFIX": names.output_prefix,
        "CALLWARDEN_LEDGER_DATABASE": url,
    }
    await asyncio.to_thread(make_topics, variables)
    decided = TP(names.output("enforcement"), 0)
    now_ms = time.time_ns() // 1_000_000
    review_by_ms = now_ms + 86_400_000
    async with AIOKafkaProducer(bootstrap_servers=address) as producer, cluster_at(address) as cluster:
        await producer.send_and_wait(*decided[:1], codec.encode(pending("cwe-p", review_by_ms=review_by_ms)))
        database = Database(url, "ledger")
        await database.migrate()
        await catch_up(cluster, database, names)
        # A verdict whose sending was interrupted, and a decision that the ledger does not have.
        by = ReviewedBy("wang", "heard")
        await database.run(lambda connection: claim(connection, "cwe-p", "uphold", by, now_ms))
        database.close()
        await producer.send_and_wait(*decided[:1], codec.encode(pending("cwe-q", review_by_ms=review_by_ms)))
        topics = [*names.inputs, *map(names.output, ("enforcement", "control", "clock", "state", "dead-letter"))]
        counts = await cluster.partitions(topics)
        tps = [TP(topic, number) for topic, count in counts.items() for number in range(count)]
        if kind == "sqlite":
            (tmp_path / "ledger.db").chmod(0o444)
        else:
            with psycopg.connect(postgres.address("postgres"), autocommit=True) as admin:
                admin.execute("ALTER DATABASE read_only SET default_transaction_read_only = on")
        before, ends = held_by(url), await cluster.ends(tps)
        for command in READ:
            status, said = await Reviewer(variables)(*command)
            assert status == 0, said
            if command[0] == "policy":
                assert said.startswith("as of 20")
            else:
                assert "1 behind" in said or '"behind":1' in said
                assert "warning: no ledger runs: `callwarden ledger run` has never written to this database" in said
            assert held_by(url) == before, command
            assert await cluster.ends(tps) == ends, command
