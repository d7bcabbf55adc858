"""The body of a request: read and decompressed within limits, and counted against the memory of all requests."""

import zlib
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import zstandard

from streams.ingest.http.problems import RequestProblem

MAX_BODY_BYTES: Final = 8 << 20
"""The most bytes of a body, as sent and after decompression."""

MAX_DROPPED_BYTES: Final = 4 * MAX_BODY_BYTES
"""The most bytes that are read of a refused body, before its connection is closed."""

MAX_HELD_BYTES: Final = 64 << 20
"""The most bytes of the bodies of all requests under way. A request holds up to twice its body."""

_MOST_OF_FREE: Final = 3
_STEP: Final = 1 << 18
_MOST_MEMBERS: Final = 100  # of a gzip stream
_MOST_FRAMES: Final = 10_000  # of a zstd stream
_ZSTD_STEP: Final = 256  # four bytes may become 128 KiB: each step becomes at most 8 MiB
_MAX_WINDOW: Final = 8 << 20
_RETRY_AFTER_S: Final = 2.0


class HeldMemory:
    """The memory that one request holds, for its token ``owner``."""

    def __init__(self, budget: "MemoryBudget", owner: str) -> None:
        self._budget, self._owner, self._held = budget, owner, 0

    def take(self, size: int) -> None:
        """Hold so many more bytes. Raises RequestProblem."""
        self._budget.take(self._owner, size)
        self._held += size

    def release(self) -> None:
        """Hold nothing any more."""
        self._budget.give_back(self._owner, self._held)
        self._held = 0


class MemoryBudget:
    """The memory of all requests under way, so that no number of requests exhausts that of the process.

    The requests of one owner may hold three times as much as is left free: alone, three quarters. So one that holds all
    it may, with bodies that do not end, leaves room for the others.
    """

    def __init__(self, most: int = MAX_HELD_BYTES) -> None:
        self.most, self.held, self.refused = most, 0, 0
        self._of = Counter[str]()

    @contextmanager
    def request(self, owner: str) -> Iterator[HeldMemory]:
        """The memory of one request, held until the end of the block."""
        memory = HeldMemory(self, owner)
        try:
            yield memory
        finally:
            memory.release()

    def take(self, owner: str, size: int) -> None:
        """Hold so many more bytes for this owner. Raises RequestProblem."""
        free, own = self.most - self.held - size, self._of[owner] + size
        if free < 0 or own > _MOST_OF_FREE * free:
            self.refused += 1
            whose, held = ("", self.held) if free < 0 else (" of this token", self._of[owner])
            why = f"the requests{whose} under way hold {held:,} bytes, as many as may be"
            raise RequestProblem("not-now", why, _RETRY_AFTER_S)
        self.held += size
        self._of[owner] += size

    def give_back(self, owner: str, size: int) -> None:
        """Hold so many bytes less."""
        self.held -= size
        self._of[owner] -= size
        if not self._of[owner]:
            del self._of[owner]


async def read_body(stream: AsyncIterator[bytes], announced: str | None, memory: HeldMemory) -> bytes:
    """The body as sent. Raises RequestProblem, at once if the ``announced`` length is too large."""
    if announced is not None and announced.isdecimal() and int(announced[:20]) > MAX_BODY_BYTES:
        raise _too_large("the body")
    parts, size = [], 0
    async for part in stream:
        size += len(part)
        if size > MAX_BODY_BYTES:
            raise _too_large("the body")
        memory.take(len(part))
        parts.append(part)
    return b"".join(parts)


async def drop(stream: AsyncIterator[bytes], headers: Mapping[str, str]) -> None:
    """Read the rest of a refused request, up to the server's limit: a client that still sends reads no answer.

    One that waits for ``100 Continue`` has not begun to send.
    """
    if "expect" not in headers:
        async for _ in stream:
            pass


def decompressed(body: bytes, encoding: str, memory: HeldMemory) -> bytes:
    """The body without its content encoding. Raises RequestProblem."""
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return body
    if name not in ("gzip", "x-gzip", "zstd"):
        raise RequestProblem("unsupported", f"Content-Encoding {name[:40]!a}; expected gzip, zstd or none")
    parts, size = [], 0
    try:
        for part in _gunzipped(body) if name != "zstd" else _unzstd(body):
            size += len(part)
            if size > MAX_BODY_BYTES:
                raise _too_large("the decompressed body")
            memory.take(len(part))
            parts.append(part)
    except (zlib.error, EOFError, zstandard.ZstdError) as error:
        raise RequestProblem("bad-request", f"the body is not {name}: {type(error).__name__}") from None
    return b"".join(parts)


def _gunzipped(body: bytes) -> Iterator[bytes]:
    rest = body
    for _ in range(_MOST_MEMBERS):
        member = zlib.decompressobj(wbits=31)
        while not member.eof:
            part = member.decompress(rest, _STEP)
            rest = member.unused_data if member.eof else member.unconsumed_tail
            if part:
                yield part
            elif not member.eof and not rest:
                raise EOFError("truncated")
        if not rest:
            return
    raise _too_many(_MOST_MEMBERS, "members of the gzip stream")


def _unzstd(body: bytes) -> Iterator[bytes]:
    """The content of all frames. The library's reader does not detect a truncated frame, so it is not used here."""
    decompressor, rest = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW), memoryview(body)
    for _ in range(_MOST_FRAMES):
        frame = decompressor.decompressobj()
        while not frame.eof:
            if not rest:
                raise EOFError("truncated")
            some, rest = rest[:_ZSTD_STEP], rest[_ZSTD_STEP:]
            if part := frame.decompress(some):
                yield part
        left = len(rest) + len(frame.unused_data)
        if not left:
            return
        rest = memoryview(body)[-left:]
    raise _too_many(_MOST_FRAMES, "frames of the zstd stream")


def _too_large(what: str) -> RequestProblem:
    return RequestProblem("too-large", f"{what} is too large; expected at most {MAX_BODY_BYTES:,} bytes")


def _too_many(most: int, what: str) -> RequestProblem:
    return RequestProblem("too-large", f"too many {what}; expected at most {most:,}")
