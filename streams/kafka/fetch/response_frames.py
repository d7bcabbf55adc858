"""The responses of a connection, received where they stay until they are decoded.

asyncio's `StreamReader` receives 256 KB at a time, copies each piece twice, and wakes its task and stops and starts the
socket for each piece of a response of megabytes.
"""

import asyncio
import struct
from typing import Final

import numpy as np

_LENGTH: Final = struct.Struct(">i")
_ROOM: Final = 1 << 16
"""The bytes of the buffer that small frames share."""
_MOST_AHEAD: Final = 64 << 20
"""The most bytes that are reserved because a frame states its length: more than a fetch asks for."""


class ResponseFrames:
    """The frames that a broker sends: a length of 4 bytes, big-endian, then as many bytes. One task takes them.

    What is received is written to `room`, then counted by `received`. Memory: 64 KB, or the size of the frame that is
    being received, which the system provides as its bytes come. The task runs after each reception, so that no second
    large frame is held.
    """

    def __init__(self) -> None:
        self._buffer = _reserved(_ROOM)
        self._start = self._end = 0  # of what is received and not taken
        self._wanted = 0  # the bytes without which the task cannot go on
        self._waiter: asyncio.Future[None] | None = None
        self._ended: BaseException | None = None

    def room(self) -> memoryview:
        """Where the next bytes are to be written; not empty."""
        have = self._end - self._start
        if self._end == len(self._buffer) or self._start + self._wanted > len(self._buffer):
            size = min(self._wanted, max(_MOST_AHEAD, 2 * have)) if have < self._wanted else have + _ROOM
            size = max(size, _ROOM)
            buffer = _reserved(size)
            buffer[:have] = self._buffer[self._start : self._end]
            self._buffer, self._start, self._end = buffer, 0, have
        return self._buffer[self._end :]

    def received(self, count: int) -> None:
        """Take note of ``count`` bytes that were written to `room`."""
        self._end += count
        if self._end - self._start >= self._wanted:
            self._wake()

    def end(self, error: BaseException | None) -> None:
        """Have `next` raise ``error``, or without one EOFError, once what is received is taken."""
        if self._ended is None:
            self._ended = error or EOFError("the broker has closed the connection")
            self._wake()

    async def next(self) -> bytes | memoryview:
        """The next frame without its length. A large one is a part of a buffer, and holds until the next call.

        Raises ValueError for a negative length, and what `end` was given.
        """
        if self._start == self._end:
            self._start = self._end = 0
            if len(self._buffer) > _ROOM:
                self._buffer = _reserved(_ROOM)
        await self._receive(_LENGTH.size)
        (size,) = _LENGTH.unpack_from(self._buffer, self._start)
        if size < 0:
            raise ValueError(f"expected the length of a response, found {size}")
        self._start += _LENGTH.size
        await self._receive(size)
        frame = self._buffer[self._start : self._start + size]
        self._start += size
        self._wanted = 0
        return bytes(frame) if size <= _ROOM else frame

    async def _receive(self, count: int) -> None:
        self._wanted = count
        while self._end - self._start < count:
            if self._ended is not None:
                raise self._ended
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)


def _reserved(size: int) -> memoryview:
    """Memory that the system provides when it is written to. A bytearray is filled with zeros at once."""
    return np.empty(size, np.uint8).data
