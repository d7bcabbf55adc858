"""The Faust app without Faust's Kafka: agents read channels, and Callwarden's consumer loop fills these.

Everything that switches a part of Faust off is in this file. Faust's consumer, producers, tables and web server are not
started; docs/explanation/architecture.md says why.
"""

from typing import Any

import faust
from faust.channels import Channel
from faust.exceptions import ImproperlyConfigured


class TopicChannel(Channel[Any]):
    """A channel in memory that carries the batches of a topic, so that `faust agents` lists its agent."""

    def __init__(self, app: faust.App, topic: str, **kwargs: Any) -> None:
        super().__init__(app, **kwargs)
        self.topic = topic

    def get_topic_name(self) -> str:
        """The name of the topic, without its prefix."""
        return self.topic

    def _clone_args(self) -> dict[str, Any]:
        return {**super()._clone_args(), "topic": self.topic}


class FaustApp(faust.App):
    """A Faust app that starts its agents and services, and nothing that uses Kafka."""

    class BootStrategy(faust.app.BootStrategy):
        """Starts agents and services, without Kafka, and without Faust's monitor, which would sample its own counts
        every second: nothing reads them.
        """

        enable_sensors = False
        enable_kafka = False
        enable_kafka_consumer = False
        enable_kafka_producer = False

    def __init__(self, application_id: str, **kwargs: Any) -> None:
        super().__init__(
            application_id, broker="kafka://", store="memory://", web_enabled=False, web_in_thread=False, **kwargs
        )

    async def on_first_start(self) -> None:
        """Do nothing: Faust would create folders for tables, and there are none."""

    async def on_start(self) -> None:
        """Finalize only: Faust would create a consumer, a thread and an event loop just to show them in a tree.

        Raises ImproperlyConfigured if nothing fills the channels.
        """
        if not self._extra_services:
            raise ImproperlyConfigured("this app only lists its agents; start a worker with `callwarden worker`")
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
