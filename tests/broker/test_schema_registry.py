"""Records that Confluent's serialisers wrote with a real schema registry are read like those in JSON."""

import json
import time
from contextlib import suppress

import pytest
from apicurio import Apicurio
from registry_producers import PRODUCERS, call, registered_as_text, values

from streams.ingest.registry.decoder import Undecodable, open_decoder
from streams.kafka.api import TransientError
from streams.settings.load import load

pytestmark = pytest.mark.services

BASE_MS = 1_772_438_400_000


def test_a_registry_that_is_killed_and_started_again_loses_no_record(apicurio: Apicurio) -> None:
    settings = load({"schema_registry_url": apicurio.url})
    known, waiting = ({one: open_decoder(settings, one) for one in PRODUCERS} for _ in range(2))
    written = {one: values(apicurio.url, one, f"{one}-calls", [call(3, BASE_MS)])[0] for one in PRODUCERS}
    with pytest.raises(Undecodable, match="the schema registry has no schema 2147483647"):
        known["avro"].decode(b"\0\x7f\xff\xff\xff\0")
    before = {one: decoder.decode(written[one]) for one, decoder in known.items()}
    assert json.loads(before["avro"]) == call(3, BASE_MS)
    assert json.loads(before["protobuf"]) == call(3, BASE_MS) | {
        "start": "2026-03-02T08:00:03Z",
        "answer": "2026-03-02T08:00:08.123Z",
        "end": "2026-03-02T08:00:33.456Z",
    }
    apicurio.kill()
    for one, value in written.items():
        assert known[one].decode(value) == before[one]
        with pytest.raises(TransientError, match=r"the schema registry 127\.0\.0\.1:\d+ cannot be reached"):
            waiting[one].decode(value)
    apicurio.start()
    while True:  # a registry that was just found away is not asked again at once
        with suppress(TransientError):
            assert {one: decoder.decode(written[one]) for one, decoder in waiting.items()} == before
            break
        time.sleep(0.1)


def test_a_schema_that_was_registered_as_text_is_read_too(apicurio: Apicurio) -> None:
    (value,) = values(apicurio.url, "protobuf", "calls", [call(3, BASE_MS)])
    as_text = registered_as_text(apicurio.url, value)
    assert as_text != value
    decoder = open_decoder(load({"schema_registry_url": apicurio.url}), "protobuf")
    assert decoder.decode(as_text) == decoder.decode(value)
