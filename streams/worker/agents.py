"""The Faust agents: one for each input topic, reading a channel that the engine fills with batches."""

from typing import Any

import faust

from monitor.decoding.input_topics import INPUTS
from streams.worker.consumer_loop import AgentBatch, Deliver


class App(faust.App):
    """A Faust app whose agents read only channels: the engine has the consumer and the producers.

    Faust's own consumer and tables lose records in a rebalance and are not started.
    """

    class BootStrategy(faust.app.BootStrategy):
        """Starts sensors, web and agents, without Kafka."""

        enable_kafka = False
        enable_kafka_consumer = False
        enable_kafka_producer = False

    async def on_first_start(self) -> None:
        """Do nothing: Faust would create folders for tables, and there are none."""

    async def on_start(self) -> None:
        """Finalize only: Faust would create a consumer, a thread and an event loop just to show them in a tree."""
        self.finalize()

    async def on_started(self) -> None:
        """Resume the channels at once: Faust would wait for the recovery of tables, and there are none."""
        self.flow_control.resume()
        await self.on_started_init_extra_tasks()
        await self.on_started_init_extra_services()
        if self.on_startup_finished:
            await self.on_startup_finished()

    async def on_stop(self) -> None:
        """Stop, and close the event loop of the consumer that Faust creates for a channel's stream."""
        await super().on_stop()
        consumer: Any = self._consumer
        if consumer is not None:
            consumer._thread.thread_loop.close()  # its thread never runs; Python would warn at exit


async def process(batches: Any) -> None:
    """The body of every agent: processes whole batches in order."""
    async for batch in batches:
        batch.process()


def add_agents(app: faust.App) -> Deliver:
    """Add the agents to the app; returns the function that delivers a batch to the agent of its source."""
    channels = [app.channel() for _ in INPUTS]
    for name, channel in zip(INPUTS, channels, strict=True):
        app.agent(channel, name=f"callwarden.{name}")(process)

    async def deliver(batch: AgentBatch) -> None:
        await channels[batch.source].send(value=batch)

    return deliver
