"""A worker's app on a cluster in memory."""

from streams.worker.agents import InputAgents
from streams.worker.app import ConsumerLoopService
from streams.worker.consumer_loop import ConsumerLoop
from streams.worker.context import WorkerContext
from streams.worker.faust_app import FaustApp


def make_app(context: WorkerContext) -> tuple[FaustApp, ConsumerLoop]:
    """The app of a worker with a known context, without pages and ready to start, and its consumer loop."""
    app = FaustApp(context.application_id)
    consumer_loop = ConsumerLoop(context, InputAgents(app))

    async def made() -> ConsumerLoop:
        return consumer_loop

    app.service(ConsumerLoopService(made))  # type: ignore[arg-type]  # its code accepts an instance
    return app, consumer_loop
