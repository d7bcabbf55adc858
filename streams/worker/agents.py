"""The agents: what a worker does with each input topic.

Each agent receives the record batches of its topic and submits them to the stream task of their partition. The task
decides once its watermark allows it, and the partition's owner commits the decisions. Without its agent a topic is not
read: its records are not judged, and the watermark waits for them.

`faust -A streams.worker.app agents` lists the agents.
"""

from faust.types import StreamT

from monitor.decoding.input_topics import INPUTS
from streams.worker.faust_app import FaustApp, TopicChannel
from streams.worker.running.input_delivery import InputBatch

Batches = StreamT[InputBatch]


class InputAgents:
    """The five agents of an app. The consumer loop delivers each batch to the agent of its topic."""

    def __init__(self, app: FaustApp) -> None:
        self._agents = app.agents
        add_agents(app)

    def reads(self, source: int | None) -> bool:
        """Whether the source has an agent; True for the commands of operators (None)."""
        return source is None or INPUTS[source] in self._agents

    async def deliver(self, batch: InputBatch) -> None:
        """Deliver a batch to the agent of its source. The agent resolves ``batch.done``."""
        await self._agents[INPUTS[batch.source]].channel.send(value=batch)


def add_agents(app: FaustApp) -> None:
    """Add an agent for each input topic."""

    @app.agent(TopicChannel(app, "cdr"), name="cdr")
    async def cdr(batches: Batches) -> None:
        """Calls: count them in the windows of measured rules."""
        # A call is rejected, late, a duplicate, or part of an open pane. Rules are evaluated when their windows end.
        async for batch in batches:
            batch.submit()

    @app.agent(TopicChannel(app, "complaints"), name="complaints")
    async def complaints(batches: Batches) -> None:
        """Complaints: decide on verified ones, and count all of them in windows."""
        # A complaint is decided at its event time. A dismissed one reverses what it decided.
        async for batch in batches:
            batch.submit()

    @app.agent(TopicChannel(app, "findings"), name="findings")
    async def findings(batches: Batches) -> None:
        """Findings of quality inspection: decide on confirmed and suspected ones."""
        # A finding is decided at its event time. A dismissed one reverses what it decided.
        async for batch in batches:
            batch.submit()

    @app.agent(TopicChannel(app, "tenants"), name="tenants")
    async def tenants(batches: Batches) -> None:
        """Tenants, and applications for numbers: reject prohibited businesses."""
        # An application is compared with the catalogue, and with the bans of its tenant.
        async for batch in batches:
            batch.submit()

    @app.agent(TopicChannel(app, "reviews"), name="reviews")
    async def reviews(batches: Batches) -> None:
        """Reviews: uphold and overturn decisions."""
        # A verdict takes effect at its event time. A decision without a review lapses.
        async for batch in batches:
            batch.submit()
