"""Takes in one request: authenticates, reads, checks, writes, and answers once Kafka has acknowledged."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from streams.ingest.answer import IngestAnswer
from streams.ingest.body import HeldMemory, MemoryBudget, decompressed, drop, read_body
from streams.ingest.formats import split
from streams.ingest.keys.key_log import digest
from streams.ingest.keys.keyed_writer import KeyedRequest, KeyInFlight, OtherBody
from streams.ingest.letters import LetterLimits
from streams.ingest.placement import TopicPlacement
from streams.ingest.problems import RequestProblem
from streams.ingest.telemetry import IngestMetrics
from streams.ingest.tokens import ANYBODY, Grant, GrantedTokens, token_of
from streams.ingest.verdicts import CheckedRequest, check
from streams.kafka.api import OutputRecord, PermanentError, TransientError

WITHIN_S: Final = 15.0
"""A request that Kafka does not acknowledge by then is answered with 503."""

_RETRY_AFTER_S: Final = 5.0
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
    """See the module. ``tokens``: None lets everybody write everything."""

    def __init__(
        self, tokens: GrantedTokens | None, placement: TopicPlacement, writers: Writers, metrics: IngestMetrics
    ) -> None:
        self._tokens, self._placement, self._writers, self._metrics = tokens, placement, writers, metrics
        self._letters = LetterLimits()
        self.memory = MemoryBudget()
        self.under_way = 0
        """The number of requests that are being served."""

    async def records(self, headers: Mapping[str, str], stream: AsyncIterator[bytes]) -> IngestAnswer:
        """The answer to ``POST /v1/records``. Raises RequestProblem."""
        self.under_way += 1
        try:
            grant, key = self._grant(headers), self._key(headers)
            if not self._placement.known:
                raise RequestProblem("not-now", "Kafka has not been reached yet; retry", _RETRY_AFTER_S)
            with self.memory.request() as memory:
                return await self._records(grant, key, headers, stream, memory)
        except RequestProblem:
            await drop(stream, headers)
            raise
        finally:
            self.under_way -= 1

    async def _records(
        self,
        grant: Grant,
        key: str | None,
        headers: Mapping[str, str],
        stream: AsyncIterator[bytes],
        memory: HeldMemory,
    ) -> IngestAnswer:
        sent = await read_body(stream, headers.get("content-length"), memory)
        body = decompressed(sent, headers.get("content-encoding", ""), memory)
        content_type = headers.get("content-type", "")
        received = split(content_type, headers, body)
        checked = await check(received, grant, self._placement, self._letters)
        if key is None:
            await self._within(self._writers.plain(checked.records))
            answer, repeated = checked.answer, False
        else:
            form = (content_type, headers.get("ce-type", ""))
            hashed = digest(*(each.encode("utf-8", "replace") for each in form), body)
            answer, repeated = await self._keyed(KeyedRequest(digest(grant.name.encode(), key.encode()), hashed,
                                                              checked.records, checked.answer))  # fmt: skip
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
        except (TransientError, PermanentError, TimeoutError) as error:
            why = "Kafka did not acknowledge in time" if isinstance(error, TimeoutError) else "Kafka does not accept"
            raise RequestProblem(
                "not-now", f"{why}: retry the same request; with an Idempotency-Key nothing is written twice",
                _RETRY_AFTER_S,
            ) from None  # fmt: skip

    def _grant(self, headers: Mapping[str, str]) -> Grant:
        if self._tokens is None:
            return ANYBODY
        token = token_of(headers.get("authorization"))
        grant = self._tokens.grant(token) if token is not None else None
        if grant is None:
            raise RequestProblem(
                "unauthorized",
                "expected the header `Authorization: Bearer TOKEN`, or Basic with the token as the password",
            )
        return grant

    @staticmethod
    def _key(headers: Mapping[str, str]) -> str | None:
        key = headers.get("idempotency-key")
        if key is not None and not _KEY.fullmatch(key):
            raise RequestProblem("bad-request", "Idempotency-Key: expected 1 to 255 visible ASCII characters")
        return key
