"""Records that Confluent's serialisers wrote with a real schema registry are read like those in JSON, by a real bridge
from a real Kafka.
"""

import asyncio
import json
import os
import sys
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import pytest
from apicurio import Apicurio
from broker_clusters import make_topic, produce
from ingest_instances import ask, written
from registry_producers import (
    MAPPING,
    PRODUCERS,
    Call,
    NewAvroProducer,
    ProtobufProducer,
    call,
    registered_as_text,
    values,
)
from worker_processes import MAIN
from worker_traffic import make_topics

from helpers.patience import PATIENCE_S
from monitor.adapters.mapped import MappedAdapter
from monitor.adapters.shipped import open_adapter
from schemas import codec
from streams.dev.kafka_node import free_ports
from streams.ingest.registry.decoder import Undecodable, open_decoder
from streams.kafka.api import TP, TransientError
from streams.runtime.child_process import ChildProcess
from streams.settings.load import load

pytestmark = pytest.mark.services

BASE_MS = 1_772_438_400_000


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry that has just started answers after more than the product's five seconds on a busy machine."""
    monkeypatch.setattr("streams.ingest.registry.client.TIMEOUT_S", PATIENCE_S)


def test_a_registry_that_is_killed_and_started_again_loses_no_record(apicurio: Apicurio) -> None:
    settings = load({"schema_registry_url": apicurio.url})
    known, waiting = ({one: open_decoder(settings, one) for one in PRODUCERS} for _ in range(2))
    mine = {}
    for one, make in PRODUCERS.items():
        (mine[one],) = values(apicurio.url, make, f"{one}-calls", [call(3, BASE_MS)])
    with pytest.raises(Undecodable, match="the schema registry has no schema 2147483647"):
        known["avro"].decode(b"\0\x7f\xff\xff\xff\0")
    before = {one: decoder.decode(mine[one]) for one, decoder in known.items()}
    assert json.loads(before["avro"]) == call(3, BASE_MS)
    assert json.loads(before["protobuf"]) == call(3, BASE_MS) | {
        "start": "2026-03-02T08:00:03Z",
        "answer": "2026-03-02T08:00:08.123Z",
        "end": "2026-03-02T08:00:33.456Z",
    }
    apicurio.kill()
    for one, value in mine.items():
        assert known[one].decode(value) == before[one]
        with pytest.raises(TransientError, match=r"the schema registry 127\.0\.0\.1:\d+ cannot be reached"):
            waiting[one].decode(value)
    apicurio.start()
    while True:  # a registry that was just found away is not asked again at once
        with suppress(TransientError):
            assert {one: decoder.decode(mine[one]) for one, decoder in waiting.items()} == before
            break
        time.sleep(0.1)


def test_a_schema_that_was_registered_as_text_is_read_too(apicurio: Apicurio) -> None:
    (value,) = values(apicurio.url, ProtobufProducer, "calls", [call(3, BASE_MS)])
    as_text = registered_as_text(apicurio.url, value)
    assert as_text != value
    decoder = open_decoder(load({"schema_registry_url": apicurio.url}), "protobuf")
    assert decoder.decode(as_text) == decoder.decode(value)


@asynccontextmanager
async def bridge(folder: Path, settings: dict[str, object], source: str, encoding: str) -> AsyncIterator[int]:
    """The port of a bridge of that encoding. It must end well on TERM."""
    mapping = folder / f"{encoding}.yaml"
    mapping.write_text(MAPPING.replace("TIME", "iso8601" if encoding == "protobuf" else "epoch_ms"), "utf-8")
    (port,) = free_ports(1)
    environment = {f"CALLWARDEN_{name.upper()}": str(value) for name, value in settings.items()}
    command = [sys.executable, "-c", MAIN, "bridge", "--json-logs", "--source-topic", source, "--format", str(mapping)]
    command += ["--encoding", encoding, "--port", str(port)]
    log = folder / f"{encoding}.log"
    with log.open("ab") as output:
        child = ChildProcess(command, output, os.environ | environment)
    try:
        yield port
        assert await asyncio.to_thread(child.stop, PATIENCE_S) == 0
    finally:
        child.kill()
        print(log.read_text("utf-8"))


def as_json(calls: list[Call], folder: Path) -> Counter[bytes]:
    """The records that the calls become as JSON."""
    mapping = folder / "json.yaml"
    mapping.write_text(MAPPING.replace("TIME", "epoch_ms"), "utf-8")
    adapter = open_adapter(str(mapping))
    assert isinstance(adapter, MappedAdapter)
    rows = [row for one in calls for row in adapter.read(json.dumps(one).encode())]
    return Counter(codec.encode(row.record) for row in rows if row.record is not None)


async def test_calls_in_avro_and_protobuf_become_what_they_become_in_json(
    address: str, apicurio: Apicurio, tmp_path: Path
) -> None:
    own = uuid.uuid4().hex[:8]
    settings: dict[str, object] = {
        "bootstrap_servers": address,
        "schema_registry_url": apicurio.url,
        "application_id": own,
        "input_prefix": f"{own}.",
        "output_prefix": f"{own}.",
    }
    await asyncio.to_thread(make_topics, {f"CALLWARDEN_{name.upper()}": str(each) for name, each in settings.items()})
    calls = {one: [call(number, BASE_MS, one) for number in range(61)] for one in PRODUCERS}
    encoded = {one: values(apicurio.url, make, f"{own}-{one}", calls[one]) for one, make in PRODUCERS.items()}
    # A producer's next version: the bridge meets its schema while the registry is away.
    encoded["avro"][30:31] = values(apicurio.url, NewAvroProducer, f"{own}-avro", [calls["avro"][30] | {"note": "x"}])
    wrong = {one: [b"no frame", b"\0\x7f\xff\xff\xff\0", encoded[one][0][:-3]] for one in PRODUCERS}
    wanted = sum((as_json(each, tmp_path) for each in calls.values()), Counter())

    async def has(topic: str, count: int) -> list[bytes]:
        async with asyncio.timeout(PATIENCE_S):
            while len(found := await written(settings, f"{own}.{topic}")) < count:
                await asyncio.sleep(0.2)
        return found

    async with AsyncExitStack() as stack:
        sources, ports = {}, {}
        for one in PRODUCERS:
            sources[one] = TP(await make_topic(address), 0)
            await produce(address, sources[one], [*encoded[one][:30], *wrong[one]])
            ports[one] = await stack.enter_async_context(bridge(tmp_path, settings, sources[one].topic, one))
        await has("cdr", 60)
        await has("dead-letter", 6)
        apicurio.kill()
        for one in PRODUCERS:
            await produce(address, sources[one], encoded[one][30:])
        async with asyncio.timeout(PATIENCE_S):
            while b"cannot be reached" not in (await ask(ports["avro"], "/readyz"))[1]:
                await asyncio.sleep(0.1)
        await has("cdr", 60 + 31)  # of the known schema of the other
        apicurio.start()
        assert Counter(await has("cdr", 122)) == wanted
        assert Counter(await has("dead-letter", 6)) == Counter(value for each in wrong.values() for value in each)
        assert {(await ask(port, "/readyz"))[0] for port in ports.values()} == {200}
