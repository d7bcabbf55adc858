"""Agents of other packages: each receives every committed decision and alert, at least once.

A package names its agent in the entry point group `callwarden.agents`. The agent is an async function that iterates
over batches, like the body of a Faust agent:

    async def tell_crm(batches: AsyncIterator[CommittedBatch]) -> None:
        async for batch in batches:
            ...

It runs in a thread with an event loop of its own, so code that blocks delays no partition. Its batches come from the
output topics, by a consumer group of its own, whose offset is committed when the agent asks for the next batch. So an
agent holds one batch at a time, and what it misses stays in Kafka: after an error, a restart or `kill -9` it receives
the batch that it had not finished again.
"""

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

import msgspec
import structlog
from faust.types import StreamT
from mode import Service

from schemas import codec
from schemas.outputs import Alert, Enforcement
from streams.kafka.api import TP, FetchedBatch, GroupLoss, GroupReader, PermanentError, TransientError
from streams.kafka.topic_names import TopicNames
from streams.runtime.retry import Backoff
from streams.worker.faust_app import FaustApp, TopicChannel
from streams.worker.metrics import AgentMetrics

log = structlog.get_logger("callwarden")

GROUP: Final = "callwarden.agents"
"""The entry point group."""

_READS: Final = {"enforcement": msgspec.json.Decoder(Enforcement), "alerts": msgspec.json.Decoder(Alert)}
_POLL_S, _MOST = 1.0, 500
_LEAVE_S = 2.0  # an agent that does not end within this time ends with the process


@dataclass(frozen=True, slots=True)
class CommittedBatch:
    """Committed records of one partition, in order; at most 500. ``topic`` is `enforcement` or `alerts`."""

    topic: str
    partition: int
    records: Sequence[Enforcement | Alert]


AgentFunction = Callable[[AsyncIterator[CommittedBatch]], Awaitable[None]]
GroupReaders = Callable[[Sequence[str], str], GroupReader]
"""Makes the reader of some topics as a member of a consumer group."""


class AgentThread:
    """Runs an agent's function in a thread with an event loop of its own."""

    def __init__(self, name: str, function: AgentFunction) -> None:
        self._function = function
        self._loop = asyncio.new_event_loop()
        self._queue: asyncio.Queue[tuple[CommittedBatch, Future[None]]] = asyncio.Queue()
        self._held: tuple[CommittedBatch, Future[None]] | None = None
        self._task: asyncio.Task[None] | None = None
        # A daemon: an agent that blocks forever does not keep the process alive.
        self._thread = threading.Thread(target=self._main, name=f"agent-{name}", daemon=True)
        self._thread.start()

    async def handle(self, batch: CommittedBatch) -> None:
        """Give the agent a batch; returns when it asks for the next one. Raises what the agent raises."""
        done: Future[None] = Future()
        self._loop.call_soon_threadsafe(self._queue.put_nowait, (batch, done))
        await asyncio.wrap_future(done)

    def end(self) -> None:
        """Cancel the agent, and wait a moment for it to end."""
        with suppress(RuntimeError):  # it has ended
            self._loop.call_soon_threadsafe(self._cancel)
        self._thread.join(_LEAVE_S)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _main(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner, suppress(asyncio.CancelledError):
            runner.run(self._run())

    async def _run(self) -> None:
        self._task = asyncio.current_task()
        while True:
            # Call the function only with a batch in hand, so that the reader retries whatever it raises.
            self._held = await self._next()
            error: BaseException
            try:
                await self._function(self._batches())
                error = RuntimeError("the agent returned; expected it to iterate over all batches")
            except (Exception, SystemExit) as raised:  # noqa: BLE001 - the reader reports it, and retries
                error = raised
            held, self._held = self._held, None
            if held is not None:
                held[1].set_exception(error)

    async def _batches(self) -> AsyncIterator[CommittedBatch]:
        while True:
            held = self._held = self._held or await self._next()
            yield held[0]
            self._held = None
            held[1].set_result(None)

    async def _next(self) -> tuple[CommittedBatch, Future[None]]:
        while True:
            batch, done = await self._queue.get()
            if done.set_running_or_notify_cancel():
                return batch, done


@dataclass(slots=True)
class _Given:
    """A batch on its way through the Faust agent; ``done`` resolves when the extension agent has handled it."""

    batch: CommittedBatch
    done: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class ExtensionAgent:
    """One agent of another package: its thread, and the Faust agent that hands batches to it."""

    def __init__(self, app: FaustApp, name: str, function: AgentFunction, metrics: AgentMetrics) -> None:
        self.name = name
        self._function, self._metrics = function, metrics
        metrics.add(name)
        self._thread: AgentThread | None = None
        self._channel = TopicChannel(app, ", ".join(_READS))
        self._agent = app.agent(self._channel, name=name)(self._process)
        self._agent.help = (inspect.getdoc(function) or "").partition("\n")[0]

    async def _process(self, batches: StreamT[_Given]) -> None:
        async for given in batches:
            await self._handle(given.batch)
            given.done.set_result(None)

    async def _handle(self, batch: CommittedBatch) -> None:
        """Have the batch handled. One that the agent fails on is given again until it does not."""
        backoff = Backoff()
        self._metrics.received(self.name)
        while True:
            self._thread = self._thread or AgentThread(self.name, self._function)
            try:
                await self._thread.handle(batch)
            except (Exception, SystemExit) as error:
                delay_s = backoff.next_s()
                self._metrics.failed(self.name)
                log.error(
                    "an agent failed; it receives the batch again",
                    agent=self.name,
                    topic=batch.topic,
                    partition=batch.partition,
                    again_in_s=delay_s,
                    exc_info=error,
                )
            else:
                self._metrics.handled(self.name, len(batch.records))
                return
            await asyncio.sleep(delay_s)

    async def follow(self, names: TopicNames, reader: Callable[[], GroupReader]) -> None:
        """Read the decisions and alerts until cancelled; commit each batch when the agent has handled it."""
        topics = {names.output(topic): topic for topic in _READS}
        backoff = Backoff()
        while True:
            member = reader()
            try:
                await member.start()
                while True:
                    polled = await member.poll(_POLL_S, _MOST)
                    self._metrics.reading(self.name)
                    for lost in member.take_lost():
                        self._report_loss(lost)
                        await member.commit(lost.tp, lost.start)
                    for tp, fetched in polled.items():
                        given = _Given(CommittedBatch(topics[tp.topic], tp.partition, _records(topics, tp, fetched)))
                        if given.batch.records:
                            await self._channel.send(value=given)
                            await given.done
                        await member.commit(tp, fetched.stop)
                        backoff.reset()
            except (TransientError, PermanentError) as error:
                delay_s = backoff.next_s()
                log.warning("an agent waits for the broker", agent=self.name, why=str(error), again_in_s=delay_s)
            except Exception as error:
                delay_s = backoff.next_s()
                self._metrics.failed(self.name)
                log.error("an agent cannot read; it is restarted", agent=self.name, exc_info=error)
            finally:
                await member.stop()
            await asyncio.sleep(delay_s)

    def _report_loss(self, lost: GroupLoss) -> None:
        self._metrics.lost(self.name)
        where = {"agent": self.name, "topic": lost.tp.topic, "partition": lost.tp.partition}
        if lost.other_log:
            log.error(
                "a topic was deleted and created again, or cut off: what an agent had not received of it is lost; it "
                "receives all records that the topic has now",
                **where,
                offset=lost.offset,
                start=lost.start,
            )
        else:
            log.error("records were deleted before an agent received them", **where, first=lost.offset, next=lost.start)

    async def end(self) -> None:
        """End the thread."""
        if self._thread is not None:
            await asyncio.to_thread(self._thread.end)


class ExtensionAgents(Service):
    """The agents of other packages as a service. One that cannot be loaded is reported and left out."""

    def __init__(self, app: FaustApp, metrics: AgentMetrics, found: Iterable[EntryPoint] | None = None) -> None:
        super().__init__()
        self._following: list[asyncio.Task[None]] = []
        self.agents: list[ExtensionAgent] = []
        for point in sorted(entry_points(group=GROUP) if found is None else found, key=lambda point: point.name):
            if point.name in app.agents:
                log.error(
                    "an agent is not loaded: expected a name that no other agent has",
                    agent=point.name,
                    value=point.value,
                )
                continue
            try:
                function = _loaded(point)
            except Exception as error:
                log.error("an agent cannot be loaded", agent=point.name, exc_info=error)
                metrics.add(point.name)
                metrics.failed(point.name)
                continue
            self.agents.append(ExtensionAgent(app, point.name, function, metrics))

    def begin(self, names: TopicNames, application_id: str, readers: GroupReaders) -> None:
        """Start to read, each agent as a consumer group `APPLICATION_ID.agent.NAME`."""
        topics = [names.output(topic) for topic in _READS]
        for agent in self.agents:
            group = f"{application_id}.agent.{agent.name}"
            follow = agent.follow(names, lambda group=group: readers(topics, group))  # type: ignore[misc]
            self._following.append(asyncio.create_task(follow, name=f"agent-{agent.name}"))
            log.info("an agent follows the decisions", agent=agent.name, group=group)

    async def on_stop(self) -> None:
        """Stop reading, and end the threads. What an agent had not finished is given to it again."""
        for task in self._following:
            task.cancel()
        if self._following:
            await asyncio.wait(self._following)
        await asyncio.gather(*(agent.end() for agent in self.agents))


def _loaded(point: EntryPoint) -> AgentFunction:
    function: Any = point.load()
    if not inspect.iscoroutinefunction(function):
        raise TypeError(f"expected an async function, got {point.value}")
    checked: AgentFunction = function
    return checked


def _records(topics: dict[str, str], tp: TP, fetched: FetchedBatch) -> list[Enforcement | Alert]:
    """The decisions or alerts in a batch. Records of other programs are logged and left out."""
    decoder: Any = _READS[topics[tp.topic]]
    records = []
    for offset, value in zip(fetched.offsets.tolist(), fetched.values, strict=True):
        try:
            records.append(decoder.decode(value or b""))
        except codec.DECODE_ERRORS as error:
            log.warning(
                "a record is not a decision or an alert; agents do not receive it", at=[*tp, offset], why=str(error)
            )
    return records
