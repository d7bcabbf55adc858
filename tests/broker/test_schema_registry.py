"""Records that Confluent's serialisers wrote with a real schema registry are read like those in JSON."""

import json

import pytest
from apicurio import Apicurio
from registry_producers import PRODUCERS, call, values

from streams.ingest.registry.decoder import Undecodable, open_decoder
from streams.kafka.api import TransientError
from streams.settings.load import load

pytestmark = pytest.mark.services

BASE_MS = 1_772_438_400_000


def test_a_registry_that_is_killed_and_started_again_loses_no_record(apicurio: Apicurio) -> None:
    settings = load({"schema_registry_url": apicurio.url})
    decoders = {encoding: open_decoder(settings, encoding) for encoding in PRODUCERS}
    written = {one: values(apicurio.url, one, f"{one}-calls", [call(3, BASE_MS)])[0] for one in PRODUCERS}
    with pytest.raises(Undecodable, match="the schema registry has no schema 2147483647"):
        decoders["avro"].decode(b"\0\x7f\xff\xff\xff\0")
    apicurio.kill()
    for encoding, decoder in decoders.items():
        with pytest.raises(TransientError, match=r"the schema registry 127\.0\.0\.1:\d+ cannot be reached"):
            decoder.decode(written[encoding])
    apicurio.start()
    decoders = {encoding: open_decoder(settings, encoding) for encoding in PRODUCERS}
    assert json.loads(decoders["avro"].decode(written["avro"])) == call(3, BASE_MS)
    assert json.loads(decoders["protobuf"].decode(written["protobuf"])) == call(3, BASE_MS) | {
        "start": "2026-03-02T08:00:03Z",
        "answer": "2026-03-02T08:00:08.123Z",
        "end": "2026-03-02T08:00:33.456Z",
    }
    apicurio.kill()
    for encoding, decoder in decoders.items():
        assert json.loads(decoder.decode(written[encoding]))["id"] == "c-3"
    apicurio.start()
