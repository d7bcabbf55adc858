"""Takes in one request: authenticates, reads, checks, writes, and answers once Kafka has acknowledged."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, TypeVar

from streams.ingest.http.answer import IngestAnswer
from streams.ingest.http.body import HeldMemory, MemoryBudget, decompressed, drop, read_body
from streams.ingest.http.decision_times import DecisionTimes
from streams.ingest.http.formats import ReceivedRecord, split
from streams.ingest.http.keys.key_log import digest
from streams.ingest.http.keys.keyed_writer import KeyedRequest, KeyInFlight, OtherBody, TooManyKeys
from streams.ingest.http.letters import LetterLimits
from streams.ingest.http.problems import EXPECTED, RequestProblem
from streams.ingest.http.request import IngestRequest
from streams.ingest.http.signatures.signed import InvalidSignature, SignedRequest
from streams.ingest.http.sources import tccc_push
from streams.ingest.http.sources.access import Access
from streams.ingest.http.sources.source import ForeignSource, mapped
from streams.ingest.http.telemetry import IngestMetrics
from streams.ingest.http.tokens import Grant
from streams.ingest.http.verdicts import CheckedRequest, check
from streams.ingest.placement import TopicPlacement
from streams.kafka.api import PermanentError, TransientError
from streams.kafka.outputs import OutputRecord

WITHIN_S: Final = 15.0
"""A request that Kafka does not acknowledge by then is answered with 503."""

_RETRY_AFTER_S: Final = 5.0
_MOST_DROPPING: Final = 64  # of at most 512 connections
_DROP_S: Final = 10.0
_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")

T = TypeVar("T")

WritePlain = Callable[[Sequence[OutputRecord]], Awaitable[object]]
WriteKeyed = Callable[[KeyedRequest], Awaitable[tuple[IngestAnswer, bool]]]


@dataclass(frozen=True, slots=True)
class Writers:
    """What writes requests: without an idempotency key, and with one."""

    plain: WritePlain
    keyed: WriteKeyed


class Intake:
    """See the module."""

    def __init__(
        self,
        access: Access,
        placement: TopicPlacement,
        writers: Writers,
        metrics: IngestMetrics,
        times: DecisionTimes | None = None,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._access, self._placement, self._writers, self._metrics = access, placement, writers, metrics
        self._times = times
        self._letters, self._now_s = LetterLimits(), now_s
        self.memory = MemoryBudget()
        self._dropping = 0
        self.under_way = 0
        """The number of requests that are being served."""

    async def take(self, request: IngestRequest) -> IngestAnswer:
        """The answer to a request. Raises RequestProblem."""
        self.under_way += 1
        try:
            source = self._access.source(request)
            grant = self._access.grant(request, source)
            if source is None and request.source is not None:
                raise RequestProblem("not-found", "the sources file (INGEST_SOURCES_FILE) has no source of this name")
            key = self._key(request.headers)
            if not self._placement.known:
                raise RequestProblem("not-now", "Kafka has not been reached yet; retry", _RETRY_AFTER_S)
            if source is not None and source.has_events and not self._placement.takes_events:
                raise RequestProblem("not-now", "the topic of raw events is missing; retry", _RETRY_AFTER_S)
            with self.memory.request(grant.name) as memory:
                if source is None:
                    return await self._records(grant, key, request, memory)
                return await self._mapped(grant, key, request, source, memory)
        except RequestProblem:
            await self._drop(request)
            raise
        finally:
            self.under_way -= 1

    async def _drop(self, request: IngestRequest) -> None:
        """Read on for a while, unless many refused requests do: strangers must not hold all connections."""
        if self._dropping >= _MOST_DROPPING:
            return
        self._dropping += 1
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(_DROP_S):
                    await drop(request.stream, request.headers)
        finally:
            self._dropping -= 1

    async def _records(self, grant: Grant, key: str | None, request: IngestRequest, memory: HeldMemory) -> IngestAnswer:
        """Records of our own formats."""
        headers = request.headers
        sent = await read_body(request.stream, headers.get("content-length"), memory)
        body = decompressed(sent, headers.get("content-encoding", ""), memory)
        content_type = headers.get("content-type", "")
        received = split(content_type, headers, body)
        form = (content_type, headers.get("ce-type", ""))
        hashed = digest(*(each.encode("utf-8", "replace") for each in form), body)
        return await self._write(grant, received, None if key is None else (_key_hash(grant, key), hashed))

    async def _mapped(
        self, grant: Grant, key: str | None, request: IngestRequest, source: ForeignSource, memory: HeldMemory
    ) -> IngestAnswer:
        """Foreign records, mapped to ours."""
        headers = request.headers
        if source.protocol == "tccc":
            tccc_push.must_be_calls(request.query)
        sent = await read_body(request.stream, headers.get("content-length"), memory)
        message = self._message(request, source, sent)
        body = decompressed(sent, headers.get("content-encoding", ""), memory)
        memory.take(2 * len(body))  # its rows, and their records
        received = await mapped(source, body)
        hashed, scope = digest(b"in", source.name.encode(), body), (grant.name.encode(), source.name.encode())
        identity: tuple[str, str] | None = None
        if message is not None:
            # A signed message is one request, whatever key a replay has.
            identity = digest(*scope, b"signed", *message), hashed
        elif source.protocol == "tccc" and (push := tccc_push.push_id(headers)) is not None:
            # TCCC knows no answer but "again": another body under the same id is another push.
            identity = digest(*scope, b"tccc", push.encode("utf-8", "replace"), hashed.encode()), hashed
        elif key is not None:
            identity = _key_hash(grant, key), hashed
        return await self._write(grant, received, identity)

    def _message(self, request: IngestRequest, source: ForeignSource, sent: bytes) -> tuple[bytes, ...] | None:
        """What identifies a signed message; None if the source signs nothing."""
        if source.signature is None:
            return None
        target = request.hidden.target if request.hidden is not None else ""
        try:
            return source.signature.verify(SignedRequest(request.headers, target, sent, self._now_s()))
        except InvalidSignature as error:
            raise RequestProblem("bad-signature", str(error)) from None

    async def _write(
        self, grant: Grant, received: Sequence[ReceivedRecord], identity: tuple[str, str] | None
    ) -> IngestAnswer:
        """Check and write the records. ``identity``: the hashes of an idempotency key and of the body."""
        checked = await check(received, grant, self._placement, self._letters)
        if self._times is not None:
            checked = self._times.added_to(checked, round(self._now_s() * 1000))
        if identity is None:
            await self._within(self._writers.plain(checked.records))
            answer, repeated = checked.answer, False
        else:
            answer, repeated = await self._keyed(
                KeyedRequest(*identity, checked.records, checked.answer, digest(grant.name.encode()))
            )
        self._count(grant, checked, answer, repeated)
        return answer

    def _count(self, grant: Grant, checked: CheckedRequest, answer: IngestAnswer, repeated: bool) -> None:
        if repeated:
            self._metrics.repeated()
        else:
            self._metrics.written(grant.name, answer, checked.unkept)

    async def _keyed(self, request: KeyedRequest) -> tuple[IngestAnswer, bool]:
        try:
            return await self._within(self._writers.keyed(request))
        except OtherBody:
            raise RequestProblem(
                "key-reused", "the Idempotency-Key was used with another body in the past day"
            ) from None
        except KeyInFlight as error:
            raise RequestProblem(
                "key-in-flight", "a request with this Idempotency-Key is under way; retry", error.retry_after_s
            ) from None

    async def _within(self, writing: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(WITHIN_S):
                return await writing
        except TooManyKeys as error:
            raise RequestProblem(
                "not-now", f"{error}; retry later, or ask for a larger limit", _RETRY_AFTER_S
            ) from None
        except (TransientError, PermanentError, TimeoutError) as error:
            why = "Kafka did not acknowledge in time" if isinstance(error, TimeoutError) else "Kafka does not accept"
            raise RequestProblem(
                "not-now", f"{why}: retry the same request; with an Idempotency-Key nothing is written twice",
                _RETRY_AFTER_S,
            ) from None  # fmt: skip

    @staticmethod
    def _key(headers: Mapping[str, str]) -> str | None:
        key = headers.get("idempotency-key")
        if key is not None and not _KEY.fullmatch(key):
            raise RequestProblem("bad-request", EXPECTED["Idempotency-Key"])
        return key


def _key_hash(grant: Grant, key: str) -> str:
    return digest(grant.name.encode(), key.encode())
