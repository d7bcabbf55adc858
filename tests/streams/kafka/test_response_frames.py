"""Responses come whole and in order, however the broker's bytes are cut into pieces."""

import asyncio
import random
import struct
import weakref
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from aiokafka import conn

from streams.kafka.aiokafka_private import FramesProtocol
from streams.kafka.fetch.columnar_fetch import install_columnar_fetch
from streams.kafka.fetch.response_frames import ResponseFrames

SMALL, LARGE = 1 << 16, 3_000_000


def framed(frames: Sequence[bytes]) -> bytes:
    return b"".join(struct.pack(">i", len(frame)) + frame for frame in frames)


def write(to: ResponseFrames, data: bytes) -> None:
    """Write all of ``data``, as much at a time as there is room for."""
    while data:
        room = to.room()
        count = min(len(room), len(data))
        room[:count] = data[:count]
        to.received(count)
        data = data[count:]


async def taken(frames: ResponseFrames, count: int) -> list[bytes]:
    return [bytes(await frames.next()) for _ in range(count)]


@pytest.mark.parametrize("seed", range(20))
async def test_frames_come_as_they_were_sent(seed: int) -> None:
    print(f"seed {seed}")
    random_ = random.Random(seed)
    sizes = [random_.choice([0, 1, 40, 5_000, SMALL - 4, SMALL, SMALL + 1, 200_000]) for _ in range(60)]
    sent = [random_.randbytes(size) for size in sizes]
    data, frames = framed(sent), ResponseFrames()
    taking = asyncio.create_task(taken(frames, len(sent)))
    while data:
        count = random_.choice([1, 3, 4, 5, 1_000, 70_000, 300_000])
        write(frames, data[:count])
        data = data[count:]
        if random_.random() < 0.8:  # else the task comes later than more bytes do
            await asyncio.sleep(0)
    assert await taking == sent


async def test_a_large_frame_is_received_into_its_own_buffer_which_is_dropped_after_it() -> None:
    frames, sent = ResponseFrames(), random.Random(1).randbytes(LARGE)
    taking = asyncio.create_task(taken(frames, 2))
    await asyncio.sleep(0)
    write(frames, framed([sent])[:100])
    await asyncio.sleep(0)
    assert len(frames.room()) == LARGE - 96, "all that is missing, and nothing of the next frame"
    write(frames, framed([sent])[100:])
    await asyncio.sleep(0)
    assert len(frames.room()) == SMALL
    write(frames, framed([b"next"]))
    assert await taking == [sent, b"next"]


async def test_a_stated_length_reserves_no_more_than_a_fetch_returns() -> None:
    frames = ResponseFrames()
    taking = asyncio.create_task(frames.next())
    await asyncio.sleep(0)
    write(frames, b"HTTP/1.1 400 Bad Request\r\n")  # as a length, over a gigabyte
    await asyncio.sleep(0)
    assert len(frames.room()) < 65 << 20
    taking.cancel()


async def test_a_negative_length_is_not_a_broker_s() -> None:
    frames = ResponseFrames()
    write(frames, struct.pack(">i", -1))
    with pytest.raises(ValueError, match="expected the length of a response, found -1"):
        await frames.next()


async def test_what_was_received_before_the_end_is_taken_first() -> None:
    frames = ResponseFrames()
    write(frames, framed([b"whole"]) + framed([b"half of it"])[:8])
    frames.end(None)
    frames.end(OSError("too late"))
    assert await frames.next() == b"whole"
    with pytest.raises(EOFError, match="the broker has closed the connection"):
        await frames.next()


@asynccontextmanager
async def connected(sends: bytes) -> AsyncIterator[tuple[ResponseFrames, asyncio.Future[None], asyncio.StreamWriter]]:
    """A connection of aiokafka's kind to a server that sends these bytes, and then what it gets back."""
    loop = asyncio.get_running_loop()
    served = loop.create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(sends)
            await writer.drain()
            writer.write(await reader.read(4))
            await writer.drain()
        finally:
            writer.close()
            served.set_result(None)

    server = await asyncio.start_server(serve, "127.0.0.1")
    closed, reader, frames = loop.create_future(), asyncio.StreamReader(loop=loop), ResponseFrames()
    protocol = FramesProtocol(frames, closed, reader, loop=loop)
    port = server.sockets[0].getsockname()[1]
    transport, _ = await loop.create_connection(lambda: protocol, "127.0.0.1", port)
    writer = asyncio.StreamWriter(transport, protocol, reader, loop)
    try:
        yield frames, closed, writer
    finally:
        writer.close()
        await served
        server.close()
        await server.wait_closed()


async def test_a_connection_receives_frames_and_tells_of_its_end() -> None:
    sent = [random.Random(n).randbytes(size) for n, size in enumerate([10, LARGE, 0, 80_000, 7])]
    async with connected(framed(sent)) as (frames, closed, writer):
        assert await taken(frames, len(sent)) == sent
        writer.write(struct.pack(">i", 0))
        await writer.drain()
        assert await frames.next() == b""
        with pytest.raises(EOFError):
            await frames.next()
        writer.close()
        await closed


async def test_a_lost_connection_raises_its_error() -> None:
    closed, frames = asyncio.get_running_loop().create_future(), ResponseFrames()
    protocol = FramesProtocol(frames, closed, asyncio.StreamReader(), loop=asyncio.get_running_loop())
    taking = asyncio.create_task(frames.next())
    await asyncio.sleep(0)
    protocol.connection_lost(ConnectionResetError("reset by the broker"))
    with pytest.raises(ConnectionResetError, match="reset by the broker"):
        await taking
    await closed


class Connection:
    """As much of aiokafka's connection as its reading task uses."""

    def __init__(self, protocol: FramesProtocol) -> None:
        self._protocol = protocol
        self.handled: list[bytes] = []

    def _handle_frame(self, frame: bytes | memoryview) -> None:
        self.handled.append(bytes(frame))


async def test_connections_of_aiokafka_read_frames_until_nobody_needs_them() -> None:
    install_columnar_fetch()
    loop = asyncio.get_running_loop()
    protocol = conn.AIOKafkaProtocol(loop.create_future(), asyncio.StreamReader(), loop=loop)
    assert isinstance(protocol, FramesProtocol)
    connection = Connection(protocol)
    reading = asyncio.create_task(conn.AIOKafkaConnection._read(weakref.ref(connection)))
    await asyncio.sleep(0)
    write(protocol.frames, framed([b"one", b"two"]))
    while len(connection.handled) < 2:
        await asyncio.sleep(0)
    assert connection.handled == [b"one", b"two"]
    del connection
    write(protocol.frames, framed([b"three"]))
    await reading
