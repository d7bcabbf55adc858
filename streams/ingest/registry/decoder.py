"""The values of a topic whose schemas are in a registry, as JSON documents."""

from importlib.util import find_spec
from typing import Final, Literal

from streams.ingest.registry.client import RegistryAddress, RegistryClient
from streams.ingest.registry.errors import SchemaRefused, Undecodable
from streams.ingest.registry.framing import schema_id_of
from streams.ingest.registry.lookups import Codec, SchemaLookups
from streams.ingest.registry.registered import RegisteredSchema
from streams.kafka.api import PermanentError
from streams.settings.model import Settings

__all__ = ["RegistryDecoder", "RegistryEncoding", "Undecodable", "open_decoder"]

RegistryEncoding = Literal["avro", "protobuf"]
"""How the values of a topic are encoded."""

_MODULES: Final = {"avro": "fastavro", "protobuf": "google.protobuf"}


class RegistryDecoder:
    """Decodes the values of one topic; for all its partitions, in several threads."""

    def __init__(self, lookups: SchemaLookups) -> None:
        self._lookups = lookups

    def decode(self, value: bytes) -> bytes:
        """The JSON document of a value.

        Raises `Undecodable` for a value that is a dead letter, and TransientError if its schema is not known yet and
        the registry is away: then the partition waits.
        """
        return self._lookups.codec(schema_id_of(value)).document(value)


def open_decoder(settings: Settings, encoding: RegistryEncoding) -> RegistryDecoder:
    """The decoder of a program. Raises PermanentError if something is not installed or not set."""
    if not _is_installed(_MODULES[encoding]):
        raise PermanentError(
            f"reading {encoding} needs a package that is not installed; run `pip install 'callwarden[registry]'`"
        )
    if settings.schema_registry_url is None:
        raise PermanentError(f"reading {encoding} needs CALLWARDEN_SCHEMA_REGISTRY_URL, the schema registry's address")
    login = settings.schema_registry_auth
    address = RegistryAddress(
        settings.schema_registry_url.get_secret_value(),
        login.get_secret_value() if login is not None else None,
        settings.schema_registry_tls(),
    )
    return RegistryDecoder(SchemaLookups(RegistryClient(address), lambda schema: codec_of(schema, encoding)))


def codec_of(schema: RegisteredSchema, encoding: RegistryEncoding) -> Codec:
    """The codec of a schema. Raises `SchemaRefused`."""
    if schema.kind != encoding.upper():
        raise SchemaRefused(f"it is a schema of type {schema.kind[:20]}; expected {encoding.upper()}")
    # Imported here: they are installed by the extra, and needed for one of the two encodings only.
    if encoding == "avro":
        from streams.ingest.registry.avro import AvroCodec

        return AvroCodec(schema)
    from streams.ingest.registry.protobuf import ProtobufCodec

    return ProtobufCodec(schema)


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # the package that would contain it
        return False
