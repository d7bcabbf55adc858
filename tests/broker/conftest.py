"""The services that the broker tests use: the Kafka that CALLWARDEN_TEST_BROKER names, otherwise nodes of the tests'
own.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import apicurio as schema_registry
import pytest
from node_options import short_lived_nodes
from postgres import Postgres, programs
from shared_broker import Broker
from worker_platform import platform, three_brokers

from streams.dev import kafka_jars as kafkajars
from streams.dev.kafka_node import DevKafka

if TYPE_CHECKING:
    from mariadb import MariaDb

__all__ = ["platform", "three_brokers"]
TOOLS = Path(__file__).parents[2] / ".tools" / "kafka"


@pytest.fixture(scope="module", autouse=True)
def time_to_stop() -> Iterator[None]:
    """Give a process more time to stop than the default, after which it exits with status 1: the machine is busy."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CALLWARDEN_STOP_WITHIN", "5m")
        yield


@pytest.fixture(scope="session")
def jars() -> Iterator[Path]:
    """Kafka's jars, and a Java for them. Without them the test is skipped, or fails where services are required."""
    try:
        kafkajars.java()
        folder = kafkajars.fetch(TOOLS)
    except kafkajars.MissingJars as missing:
        pytest.skip(f"no Kafka: {missing}. Or name one: CALLWARDEN_TEST_BROKER=HOST:PORT")
    with short_lived_nodes(folder):
        yield folder


@pytest.fixture(scope="session")
def kafka(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A Kafka that all tests of a run share. Each test creates topics with unique names; no test stops the node."""
    named = os.environ.get("CALLWARDEN_TEST_BROKER")
    if named:
        yield Broker(named, None)
        return
    with DevKafka(tmp_path_factory.mktemp("kafka"), request.getfixturevalue("jars")) as node:
        yield Broker(node.address, node)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL that all tests of a run share. Each test creates its own databases; no test stops the server."""
    folder = programs()
    if folder is None:
        pytest.skip("no PostgreSQL: on Debian and Ubuntu `apt-get install postgresql`")
    with Postgres(folder) as server:
        yield server


@pytest.fixture(scope="session")
def mariadb() -> "Iterator[MariaDb]":
    """A MariaDB that all tests of a run share. Each test creates its own database."""
    from mariadb import MariaDb, program  # it needs the extra `mysql`, and other tests do not

    server = program()
    if server is None:
        pytest.skip("no MariaDB: on Debian and Ubuntu `apt-get install mariadb-server`")
    with MariaDb(server) as database:
        yield database


@pytest.fixture(scope="module")
def apicurio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[schema_registry.Apicurio]:
    """A schema registry for the tests of a module. A test that stops it starts it again."""
    try:
        kafkajars.java()
        home = schema_registry.fetch()
    except kafkajars.MissingJars as missing:
        pytest.skip(f"no schema registry: {missing}")
    with schema_registry.Apicurio(home, tmp_path_factory.mktemp("apicurio")) as registry:
        yield registry


@pytest.fixture(scope="session")
def address(kafka: Broker) -> str:
    """The address of the shared Kafka, for tests that only connect to it."""
    return kafka.address
