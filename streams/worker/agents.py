"""The Faust agents: one for each input topic, over a channel that the engine fills with batches."""

from typing import Any

import faust

from monitor.decoding.input_topics import INPUTS
from streams.worker.consumer_loop import AgentBatch, Deliver


class App(faust.App):
    """A Faust app whose agents read channels alone: the engine has the consumer and the producers.

    Faust's own consumer and tables lose records in a rebalance and are not started at all.
    """

    class BootStrategy(faust.app.BootStrategy):
        """Start sensors, web and agents, without Kafka."""

        enable_kafka = False
        enable_kafka_consumer = False
        enable_kafka_producer = False

    async def on_first_start(self) -> None:
        """Faust would make folders for tables that are not there."""

    async def on_start(self) -> None:
        """Faust would make a consumer, with a thread and an event loop for it, only to show it in a tree."""
        self.finalize()

    async def on_started(self) -> None:
        """Faust would wait for the recovery of tables that are not there, and hold the channels' flow until then."""
        self.flow_control.resume()
        await self.on_started_init_extra_tasks()
        await self.on_started_init_extra_services()
        if self.on_startup_finished:
            await self.on_startup_finished()

    async def on_stop(self) -> None:
        """A channel's stream has Faust make a consumer after all, with the loop of a thread that never runs."""
        await super().on_stop()
        consumer: Any = self._consumer
        if consumer is not None:
            consumer._thread.thread_loop.close()  # nobody else does, and Python would complain as it ends


async def process(batches: Any) -> None:
    """The body of every agent: whole batches, in their order."""
    async for batch in batches:
        batch.process()


def add_agents(app: faust.App) -> Deliver:
    """Give the app its agents; the function that hands a batch to the agent of its source."""
    channels = [app.channel() for _ in INPUTS]
    for name, channel in zip(INPUTS, channels, strict=True):
        app.agent(channel, name=f"callwarden.{name}")(process)

    async def deliver(batch: AgentBatch) -> None:
        await channels[batch.source].send(value=batch)

    return deliver
