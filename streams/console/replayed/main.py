"""The console process on the files of a replay: the pages of `streams.console.main` without Kafka."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final, NamedTuple

from streams.console.app import make
from streams.console.cases.sending import VerdictSending
from streams.console.context import ConsoleContext
from streams.console.identity.components import Identity
from streams.console.identity.links.sign_in_links import SignInLinks
from streams.console.identity.users import User
from streams.console.intake.handler import CaseIntake, followed_topics
from streams.console.main import limits_of, open_database
from streams.console.previews.runner import PreviewRunner
from streams.console.replayed.file_intake import FileIntake
from streams.console.replayed.judgement import JudgedFiles
from streams.console.replayed.rejudging import Rejudging, ReplayFiles
from streams.console.security_headers import with_security_headers
from streams.console.telemetry import ConsoleMetrics
from streams.consumers.follower import FollowerProgress
from streams.consumers.service import host, pages
from streams.kafka.api import TP, PermanentError
from streams.kafka.topic_names import TopicNames
from streams.runtime.http_server import ServerOptions, listen
from streams.runtime.monotonic import steady_s
from streams.settings.load import Settings, variable

HOST: Final = "127.0.0.1"
_PORTS: Final = 20


class Replayed(NamedTuple):
    """A replay that is served: its files, what was judged, and how long that took."""

    files: ReplayFiles
    judgement: JudgedFiles
    took_ms: int


def free_port(first: int) -> int:
    """The first free port of this machine from ``first`` on. Raises PermanentError."""
    for port in range(first, min(first + _PORTS, 65_536)):
        try:
            listen(HOST, port).close()
        except OSError:
            continue
        return port
    raise PermanentError(
        f"no port of {HOST} from {first} to {first + _PORTS - 1} is free; expected one as {variable('console_port')}"
    )


async def run_replayed(settings: Settings, replayed: Replayed, port: int, show: Callable[[User, str], None]) -> None:
    """Serve the console at that port until a stop is requested. ``show`` is called with each link that signs in.

    The console's clock starts at the end of the data. Raises PermanentError.
    """
    files, judgement, took_ms = replayed
    settings = settings.model_copy(update={"policy": None})  # by the built-in policy the records were judged
    started_s = steady_s()

    def clock() -> int:
        return judgement.last_ms + took_ms + round(1000 * (steady_s() - started_s))

    def progress() -> FollowerProgress:
        # Everything in the files is stored.
        return FollowerProgress(as_of_ms=clock(), behind=dict.fromkeys(followed, 0), as_of_s=steady_s())

    database, telemetry = open_database(settings), ConsoleMetrics(clock)
    names = TopicNames.from_settings(settings)
    followed = [TP(topic, 0) for topic in followed_topics(names)]
    intake = FileIntake(names, CaseIntake(names, telemetry, clock), clock)
    try:
        files.prepare()
        await database.migrate()
        committed = await database.run(partial(intake.store, judgement=judgement, took_ms=took_ms))
        committed()
        links = SignInLinks(f"http://{HOST}:{port}", show)
        identity = Identity(settings, database, clock, links=links)
        await identity.prepare()
        rejudging = Rejudging(files, database, intake, clock)
        verdicts = VerdictSending(database, lambda value: (), lambda: rejudging, clock, rejudging.wake)

        previews = PreviewRunner(settings, database, clock, telemetry, replayed=[*files.inputs, files.reviews])

        def notice() -> str:
            return "judging" if rejudging.judging else "demo"

        app = make(
            ConsoleContext(
                settings, database, telemetry, progress, clock, notice=notice, previews=previews, has_kafka=False
            ),
            pages(telemetry.registry, lambda: None),
            identity,
        )

        async def offer() -> None:
            links.offer(*links.users)
            await asyncio.Event().wait()

        work: list[Coroutine[Any, Any, None]] = [
            offer(),
            rejudging.run(),
            verdicts.run(),
            previews.run(),
            identity.run(),
            app.state.changes.run(),
        ]
        within_s = settings.stop_within_ms / 1000
        address, options = (HOST, port), ServerOptions(limits_of(settings))
        answering, setting = with_security_headers(app), variable("console_port")
        await host(work, answering, address, setting, within_s, telemetry.registry, options)
    finally:
        database.close()
