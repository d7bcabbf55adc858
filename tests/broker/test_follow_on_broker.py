"""Followers on a real Kafka, killed while files rotate and while rows are committed out of order: each row once."""

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from deadlines import deadline
from followers import Followers
from ingest_instances import ready
from postgres import Postgres
from shared_broker import Broker

from helpers.patience import PATIENCE_S
from streams.dev.kafka_node import free_ports

pytestmark = pytest.mark.services

MAPPING = """\
mapping: calls
settings: {form: csv}
record: cdr
format: $form
fields:
  call_id: {column: id}
  tenant_id: {column: tenant}
  direction: {const: outbound}
  caller: {const: anonymous}
  callee: {const: "+8613800000000"}
  start_ms: {column: at, time: epoch_ms}
  end_ms: {column: at, time: epoch_ms}
  outcome: {const: no_answer}
"""


@pytest.fixture
def followers(kafka: Broker, tmp_path: Path) -> Iterator[Followers]:
    (tmp_path / "calls.yaml").write_text(MAPPING)
    followers = Followers(tmp_path, kafka.address, "--format", str(tmp_path / "calls.yaml"), "--name", "pbx")
    yield followers
    followers.close()


async def test_rows_are_written_once_while_files_rotate_and_the_follower_is_killed(
    followers: Followers, tmp_path: Path
) -> None:
    rng = random.Random(3)
    path = tmp_path / "cdr" / "Master.csv"
    path.parent.mkdir()
    followers.words = (str(path), *followers.words)
    ids: list[str] = []
    stopping = asyncio.Event()

    def write(many: int) -> None:
        with path.open("ab") as out:
            if not out.tell():
                out.write(b"id,tenant,at\n")
            for _ in range(many):
                ids.append(f"c-{len(ids)}")
                out.write(f"{ids[-1]},t{len(ids) % 7},1772438400000\n".encode())
                if rng.random() < 0.01:
                    out.flush()
            if rng.random() < 0.1:
                out.write(b"bad,row\n")

    def rotate() -> None:
        for old in sorted(path.parent.glob("Master.csv.*"), key=lambda each: -int(each.suffix[1:])):
            old.rename(old.with_suffix(f".{int(old.suffix[1:]) + 1}"))
        path.rename(path.with_name("Master.csv.1"))

    async def switch() -> None:
        while not stopping.is_set():
            write(rng.choice((1, 20, 400)))
            if rng.random() < 0.08:
                rotate()
            await asyncio.sleep(rng.uniform(0.0, 0.08))

    write(5)
    followers.start()
    await ready(followers.port)
    await followers.calls(5)
    switching = asyncio.create_task(switch())
    for _ in range(3):
        await asyncio.sleep(rng.uniform(0.5, 1.5))
        await asyncio.to_thread(followers.kill)
        await asyncio.sleep(rng.uniform(0.0, 1.0))
        followers.start()
        await ready(followers.port)
    stopping.set()
    await switching
    calls = await followers.calls(len(ids))
    assert calls == dict.fromkeys(ids, 1)
    assert 'callwarden_follow_source_up{follower="pbx"} 1.0' in await asyncio.to_thread(followers.metrics)
    bad = sum(each.read_bytes().count(b"bad,row") for each in path.parent.iterdir())
    async with deadline(f"{bad} dead letters"):
        while len(letters := await followers.records("dead-letter")) < bad:
            await asyncio.sleep(0.3)
    assert letters == [b"bad,row"] * bad
    # A second process of the name ends the first.
    first = followers.children[-1]
    (other,) = free_ports(1)
    second = followers.start(other)
    try:
        await ready(other)
        write(10)
        assert await followers.calls(len(ids)) == dict.fromkeys(ids, 1)
        async with asyncio.timeout(PATIENCE_S):
            while first.running:
                write(1)
                await asyncio.sleep(0.2)
        assert first.wait() == 2
        assert await followers.calls(len(ids)) == dict.fromkeys(ids, 1)
    finally:
        status = await asyncio.to_thread(second.stop, PATIENCE_S)
    assert status == 0
    assert "follows under the same name now" in followers.log()
    assert "Traceback" not in followers.log()


TABLE = """
CREATE TABLE acc (id SERIAL PRIMARY KEY, callid TEXT, tenant TEXT, at TIMESTAMP);
CREATE USER reader; GRANT SELECT ON acc TO reader"""


async def test_rows_of_a_table_are_written_once_while_they_are_committed_out_of_order(
    followers: Followers, postgres: Postgres, tmp_path: Path
) -> None:
    rng = random.Random(4)
    text = MAPPING.replace("column: id}", "column: callid}").replace("epoch_ms", "iso8601") + "zone: UTC\n"
    (tmp_path / "calls.yaml").write_text(text)
    database = postgres.database("follow")
    with psycopg.connect(database) as connection:
        connection.execute(TABLE.encode())
    url = database.replace("callwarden@", "reader:a-password@")
    followers.words = ("--sql", url, "--table", "public.acc", "--key", "id", *followers.words)
    ids: list[str] = []
    stopping = asyncio.Event()

    async def backend(name: int) -> None:
        """One process of the proxy: some transactions take long, some are rolled back."""
        async with await psycopg.AsyncConnection.connect(database) as connection:
            number = 0
            while not stopping.is_set():
                mine = [f"{name}-{number + each}" for each in range(rng.choice((1, 1, 5)))]
                number += len(mine)
                for each in mine:
                    await connection.execute(
                        "INSERT INTO acc (callid, tenant, at) VALUES (%s, %s, '2026-03-02 08:00:00')", (each, "acme")
                    )
                await asyncio.sleep(rng.choice((0.0, 0.01, 0.3, 2.0)))
                if rng.random() < 0.1:
                    await connection.rollback()
                else:
                    await connection.commit()
                    ids.extend(mine)

    followers.start()
    await ready(followers.port)
    backends = [asyncio.create_task(backend(name)) for name in range(5)]
    for _ in range(3):
        await asyncio.sleep(rng.uniform(0.5, 2.0))
        await asyncio.to_thread(followers.kill)
        followers.start()
        await ready(followers.port)
    stopping.set()
    await asyncio.gather(*backends)
    with psycopg.connect(database) as connection:  # a value that a driver cannot represent
        connection.execute("INSERT INTO acc (callid, tenant, at) VALUES ('odd', 'acme', 'infinity')")
    await followers.assert_ends_with(ids, rejected="odd")
