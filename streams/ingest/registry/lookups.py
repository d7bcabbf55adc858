"""The schemas by id: each is looked up once. Ids that no schema has, and schemas that are refused, are remembered too.

Any producer can write any id, so that the look-ups are limited. A look-up beyond the limit makes its record a dead
letter; if records waited for it instead, one producer with made-up ids could stop the topic for all others.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from streams.ingest.registry.client import NoSuchSchema
from streams.ingest.registry.errors import SchemaRefused, Undecodable
from streams.ingest.registry.registered import RegisteredSchema
from streams.kafka.api import TransientError
from streams.runtime.monotonic import steady_s

MOST_SCHEMAS: Final = 256
"""The most schemas that are kept, those used last."""

MOST_REFUSALS: Final = 10_000
"""The most ids without a usable schema that are remembered."""

REFUSAL_S: Final = 60.0
"""How long an id without a usable schema is remembered."""

LOOKUPS_AT_ONCE, LOOKUPS_A_SECOND = 200.0, 10.0
"""The limit of look-ups: so many at once, and so many a second after that."""

_REST_S: Final = 0.5  # after a failure no request is sent for so long, whichever partition asks


class Codec(Protocol):
    """Decodes the values of one schema."""

    def document(self, value: bytes) -> bytes:
        """The document of a value with its frame. Raises `Undecodable`."""
        ...


class SchemaReader(Protocol):
    """`RegistryClient`."""

    def schema(self, schema_id: int) -> RegisteredSchema:
        """The schema of an id. Raises NoSuchSchema, SchemaRefused, TransientError."""
        ...


class _Refusal(NamedTuple):
    reason: str
    until_s: float


class SchemaLookups:
    """The codec of each schema id, for all partitions of a process; safe in several threads."""

    def __init__(
        self, reader: SchemaReader, codec: Callable[[RegisteredSchema], Codec], now_s: Callable[[], float] = steady_s
    ) -> None:
        self._reader, self._codec, self._now_s = reader, codec, now_s
        self._codecs: OrderedDict[int, Codec] = OrderedDict()
        self._refusals: OrderedDict[int, _Refusal] = OrderedDict()
        self._lock, self._asking = threading.Lock(), threading.Lock()
        self._left, self._filled_s = LOOKUPS_AT_ONCE, now_s()
        self._failure: _Refusal | None = None

    def codec(self, schema_id: int) -> Codec:
        """The codec of an id. Raises `Undecodable` if it has no usable schema, TransientError without the registry."""
        codec = self._known(schema_id)
        if codec is not None:
            return codec
        with self._asking:  # one request at a time; known schemas do not wait for it
            codec = self._known(schema_id)
            if codec is not None:
                return codec
            self._take(schema_id)
            return self._look_up(schema_id)

    def _known(self, schema_id: int) -> Codec | None:
        """What is remembered of an id; raises as `codec` does."""
        with self._lock:
            codec = self._codecs.get(schema_id)
            if codec is not None:
                self._codecs.move_to_end(schema_id)
                return codec
            now_s = self._now_s()
            refusal = self._refusals.get(schema_id)
            if refusal is not None and now_s < refusal.until_s:
                raise Undecodable(refusal.reason)
            if self._failure is not None and now_s < self._failure.until_s:
                raise TransientError(self._failure.reason)
            return None

    def _take(self, schema_id: int) -> None:
        """Count a look-up. Raises `Undecodable` beyond the limit."""
        now_s = self._now_s()
        self._left = min(LOOKUPS_AT_ONCE, self._left + (now_s - self._filled_s) * LOOKUPS_A_SECOND)
        self._filled_s = now_s
        if self._left < 1:
            raise Undecodable(
                f"the schema {schema_id} is not looked up: the records of the last seconds name too many other schemas "
                f"(more than {LOOKUPS_A_SECOND:g} new ones a second)"
            )
        self._left -= 1

    def _look_up(self, schema_id: int) -> Codec:
        try:
            codec = self._codec(self._reader.schema(schema_id))
        except NoSuchSchema:
            # Final: a producer registers a schema before it writes with it.
            raise self._refuse(schema_id, f"the schema registry has no schema {schema_id}") from None
        except SchemaRefused as refused:
            raise self._refuse(schema_id, f"the schema {schema_id} is not used: {refused}") from None
        except TransientError as error:
            with self._lock:
                self._left += 1
                self._failure = _Refusal(str(error), self._now_s() + _REST_S)
            raise
        with self._lock:
            self._failure = None
            self._refusals.pop(schema_id, None)
            self._codecs[schema_id] = codec
            if len(self._codecs) > MOST_SCHEMAS:
                self._codecs.popitem(last=False)
        return codec

    def _refuse(self, schema_id: int, reason: str) -> Undecodable:
        with self._lock:
            self._failure = None
            self._refusals[schema_id] = _Refusal(reason, self._now_s() + REFUSAL_S)
            self._refusals.move_to_end(schema_id)
            if len(self._refusals) > MOST_REFUSALS:
                self._refusals.popitem(last=False)
        return Undecodable(reason)
