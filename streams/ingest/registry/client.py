"""Requests to a schema registry with Confluent's API: short, bounded, without redirects, one after another."""

import base64
import http.client
import json
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

from streams.ingest.registry.errors import MAX_SCHEMA_BYTES, SchemaRefused
from streams.ingest.registry.registered import RegisteredSchema
from streams.kafka.api import TransientError
from streams.runtime.monotonic import steady_s

TIMEOUT_S: Final = 5.0
"""The longest time for a schema with all that it refers to."""

_MOST_REFERENCES: Final = 32
_MOST_ANSWER: Final = 2 * MAX_SCHEMA_BYTES  # a schema is a string within JSON: its quotation marks are escaped
_NOT_FOUND: Final = (40401, 40402, 40403)  # no such subject, version, schema
_READ_BYTES: Final = 65_536


class NoSuchSchema(Exception):
    """The registry says that there is no schema of this id."""


@dataclass(frozen=True, slots=True)
class RegistryAddress:
    """``url`` ends before `/schemas` and may hold `USER:PASSWORD@`; ``login`` is `USER:PASSWORD`. Neither is logged."""

    url: str
    login: str | None = None
    tls: ssl.SSLContext | None = None


class RegistryClient:
    """Reads schemas. Every method raises TransientError if the registry cannot answer now, or not as it should."""

    def __init__(self, address: RegistryAddress, now_s: Callable[[], float] = steady_s) -> None:
        parts = urlsplit(address.url)
        self._tls = (address.tls or ssl.create_default_context()) if parts.scheme == "https" else None
        self._host, self._port = parts.hostname or "", parts.port
        self._base, self._now_s = parts.path.rstrip("/"), now_s
        self._recognised = False
        self.name = self._host if self._port is None else f"{self._host}:{self._port}"
        self._headers = {"Accept": "application/vnd.schemaregistry.v1+json, application/json", "Connection": "close"}
        login = address.login
        if login is None and parts.username is not None:
            login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        if login is not None:
            self._headers["Authorization"] = "Basic " + base64.b64encode(login.encode()).decode("ascii")

    def schema(self, schema_id: int) -> RegisteredSchema:
        """The schema of an id, with all that it refers to. Raises also `NoSuchSchema`, and `SchemaRefused` if it is
        too large.
        """
        deadline_s = self._now_s() + TIMEOUT_S
        found = self._get(f"/schemas/ids/{schema_id}?format=serialized", deadline_s)
        if found is None:
            raise NoSuchSchema(f"{self.name} has no schema {schema_id}")
        references: dict[str, str] = {}
        self._resolve(found, references, (), deadline_s)
        return RegisteredSchema(str(found.get("schemaType") or "AVRO"), _text(found), references)

    def _resolve(self, schema: Any, into: dict[str, str], above: tuple[str, ...], deadline_s: float) -> None:
        """Read what a schema refers to, into ``into``."""
        references = schema.get("references") or []
        if not isinstance(references, list) or not all(isinstance(each, dict) for each in references):
            raise SchemaRefused("the registry's answer has no list of references")
        for reference in references:
            name, subject, version = (str(reference.get(key)) for key in ("name", "subject", "version"))
            if name in above:
                raise SchemaRefused(f"the references of the schema form a circle: {name[:100]!r}")
            if name in into:
                continue
            if len(into) + len(above) >= _MOST_REFERENCES:
                raise SchemaRefused(f"the schema refers to more than {_MOST_REFERENCES} others")
            path = f"/subjects/{quote(subject, safe='')}/versions/{quote(version, safe='')}"
            found = self._get(f"{path}?format=serialized&deleted=true", deadline_s)
            if found is None:
                raise SchemaRefused(f"the schema refers to {name[:100]!r}, which the registry does not have")
            self._resolve(found, into, (*above, name), deadline_s)
            into[name] = _text(found)
            if sum(map(len, into.values())) > MAX_SCHEMA_BYTES:
                raise SchemaRefused(f"what the schema refers to has more than {MAX_SCHEMA_BYTES:,} bytes")

    def _get(self, path: str, deadline_s: float) -> Any:
        """The object that the registry answers; None if it says that there is none."""
        status, body = self._request(path, deadline_s)
        answer = _object(body)
        if status == 200 and answer is not None:
            self._recognised = True
            return answer
        if status == 404 and answer is not None and answer.get("error_code") in _NOT_FOUND:
            self._recognised = True
            return None
        if status in (401, 403):
            raise TransientError(
                f"the schema registry {self.name} refuses the login ({status}); check CALLWARDEN_SCHEMA_REGISTRY_AUTH"
            )
        if status >= 500 or status in (408, 429):
            raise TransientError(f"the schema registry {self.name} answers {status} to {path}")
        if self._recognised:  # the address is right and the request is wrong: one record must not stop the others
            raise SchemaRefused(f"the schema registry answers {status}")
        raise TransientError(
            f"what answers at {self.name}{self._base} ({status}) is no schema registry; check "
            f"CALLWARDEN_SCHEMA_REGISTRY_URL (with Apicurio it ends in /apis/ccompat/v7)"
        )

    def _request(self, path: str, deadline_s: float) -> tuple[int, bytes]:
        late = TransientError(f"the schema registry {self.name} does not answer within {TIMEOUT_S:g} s")
        connection = self._connection()
        try:
            connection.request("GET", self._base + path, headers=self._headers)
            body = bytearray()
            with connection.getresponse() as response:
                while piece := response.read1(_READ_BYTES):
                    body += piece
                    if len(body) > _MOST_ANSWER:
                        raise SchemaRefused(f"the registry's answer has more than {_MOST_ANSWER:,} bytes")
                    if self._now_s() > deadline_s:
                        raise late
            if self._now_s() > deadline_s:
                raise late
            return response.status, bytes(body)
        except ssl.SSLCertVerificationError as error:
            raise TransientError(
                f"the certificate of the schema registry {self.name} is not trusted: {error.verify_message}"
            ) from None
        except TimeoutError:
            raise late from None
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise TransientError(f"the schema registry {self.name} cannot be reached: {reason}") from None
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        if self._tls is not None:
            return http.client.HTTPSConnection(self._host, self._port, timeout=TIMEOUT_S, context=self._tls)
        return http.client.HTTPConnection(self._host, self._port, timeout=TIMEOUT_S)


def _text(schema: Any) -> str:
    text = schema.get("schema")
    if not isinstance(text, str):
        raise SchemaRefused("the registry's answer has no schema")
    if len(text) > MAX_SCHEMA_BYTES:
        raise SchemaRefused(f"the schema has {len(text):,} bytes; expected at most {MAX_SCHEMA_BYTES:,}")
    return text


def _object(body: bytes) -> dict[str, Any] | None:
    """An answer that is an object, else None."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None
