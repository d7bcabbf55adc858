"""Checks policy files in a child process, which is limited in memory and killed if a check takes too long.

The child reads requests from its standard input and writes the results to its standard output, each with its length
before it. It ends when its standard input does, so it does not outlive its parent.
"""

import asyncio
import resource
import struct
import sys
from asyncio.subprocess import Process
from contextlib import suppress
from typing import BinaryIO, Final, Protocol

import msgspec
import structlog

from monitor.policy.load import load
from streams.console import child_process
from streams.console.policies.checker import CheckReport, CheckRequest, check

log = structlog.get_logger("callwarden")

WITHIN_S: Final = 5.0
"""A check that takes longer is given up. One of the largest policies takes about one second."""

_START_S: Final = 20.0
_IDLE_S: Final = 300.0
_MOST_WAITING: Final = 8
_MEMORY_BYTES: Final = 1 << 30
_LENGTH: Final = struct.Struct(">I")


class CheckGivenUp(Exception):
    """A check without a result; ``key`` is the end of its text's key: ``long`` or ``busy``."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


class Checks(Protocol):
    """Checks policy files without holding up the event loop."""

    async def check(self, request: CheckRequest) -> CheckReport:
        """The result. Raises CheckGivenUp."""
        ...

    async def warm_up(self) -> None:
        """Prepare for the first check."""
        ...


class CheckProcess:
    """Checks files one after the other in a child process, which starts with the first and ends when idle."""

    def __init__(self, within_s: float = WITHIN_S) -> None:
        self._within_s = within_s
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._process: Process | None = None
        self._ending: asyncio.TimerHandle | None = None

    async def check(self, request: CheckRequest) -> CheckReport:
        """The result. Raises CheckGivenUp, also if many other checks wait."""
        if self._waiting >= _MOST_WAITING:
            raise CheckGivenUp("busy")
        self._waiting += 1
        try:
            async with self._turn:
                return await self._check(request)
        finally:
            self._waiting -= 1

    async def _check(self, request: CheckRequest) -> CheckReport:
        if self._ending is not None:
            self._ending.cancel()
        try:
            process = await self._running()
            async with asyncio.timeout(self._within_s):
                answer = await _ask(process, msgspec.msgpack.encode(request))
        except (TimeoutError, asyncio.IncompleteReadError, ConnectionError) as error:
            # Also out of memory: the child has ended then.
            log.warning("a check of a policy was given up", why=type(error).__name__, within_s=self._within_s)
            await self.stop()
            raise CheckGivenUp("long") from None
        except asyncio.CancelledError:  # the request ended: its answer must not be taken for that of the next one
            await asyncio.shield(self.stop())
            raise
        self._ending = asyncio.get_running_loop().call_later(_IDLE_S, self._kill)
        return msgspec.msgpack.decode(answer, type=CheckReport)

    async def warm_up(self) -> None:
        """Start the child process, so that the first check need not wait for it."""
        if self._process is None and not self._turn.locked():
            with suppress(CheckGivenUp):
                await self.check(CheckRequest("", 0))

    async def _running(self) -> Process:
        if self._process is None or self._process.returncode is not None:
            async with asyncio.timeout(_START_S):
                self._process = await _start()
        return self._process

    async def stop(self) -> None:
        """End the child process."""
        process = self._process
        self._kill()
        if process is not None:
            await process.wait()

    def _kill(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            child_process.kill(process)


async def _start() -> Process:
    process = await child_process.start(__name__)
    assert process.stdout is not None
    await process.stdout.readexactly(1)  # everything is imported: the time of a check begins
    return process


async def _ask(process: Process, request: bytes) -> bytes:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(_LENGTH.pack(len(request)) + request)
    await process.stdin.drain()
    (length,) = _LENGTH.unpack(await process.stdout.readexactly(_LENGTH.size))
    return await process.stdout.readexactly(length)


def answer_requests(requests: BinaryIO, answers: BinaryIO) -> None:
    """Check what is asked until the input ends."""
    while len(head := requests.read(_LENGTH.size)) == _LENGTH.size:
        request = msgspec.msgpack.decode(requests.read(_LENGTH.unpack(head)[0]), type=CheckRequest)
        _limit_time()
        answer = msgspec.msgpack.encode(check(request))
        answers.write(_LENGTH.pack(len(answer)) + answer)
        answers.flush()


def _limit_time() -> None:
    """End this process if the check outlives a parent that was killed."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    until_s = int(usage.ru_utime + usage.ru_stime + 4 * WITHIN_S)
    resource.setrlimit(resource.RLIMIT_CPU, (until_s, resource.RLIM_INFINITY))


def main() -> None:
    """Run the child process."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    load(None)  # the first check need not read it
    sys.stdout.buffer.write(b".")
    sys.stdout.buffer.flush()
    answer_requests(sys.stdin.buffer, sys.stdout.buffer)


if __name__ == "__main__":
    main()
