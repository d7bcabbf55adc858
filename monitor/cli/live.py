"""`callwarden live`: all of it in one terminal, on a Kafka node of its own."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from streams.child import Child
    from streams.devkafka import DevKafka
    from streams.settings import Settings

# The built-in policy, but for how long calls may be on their way.
POLICY = """\
id: access-rules-live
version: "1"
defaults:
  lateness: 10s
"""
# Lines of the worker's log that one should see.
_TROUBLE = re.compile(rb"\[(?:warning|error|critical) *\]")
_STOP_S = 30.0
_LOOK_S = 0.5


def run(
    rate: Annotated[float, typer.Option(help="Calls a second, the mean of a weekday; nights are quiet.")] = 5.0,
    tenants: Annotated[int, typer.Option(help="How many tenants; with 30 or more every kind occurs.", min=1)] = 60,
    partitions: Annotated[int, typer.Option(help="How many partitions each topic has.", min=1, max=64)] = 4,
    port: Annotated[int, typer.Option(help="Kafka's port on 127.0.0.1; 0 takes any.", min=0, max=65535)] = 0,
    alerts: Annotated[bool, typer.Option(help="Alerts as well as decisions.")] = True,
    logs: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep the logs here.  [default: a folder gone at the end]")
    ] = None,
    tools: Annotated[Path, typer.Option(metavar="DIR", help="Where Kafka's jars are, or go.")] = Path(".tools/kafka"),
) -> None:
    """Start Kafka, make the topics, start a worker and simulated traffic, and show decisions and alerts until Ctrl-C.

    The past day comes first, as fast as it can be judged; then it goes on in real time. Nothing is left behind.
    Exit status: 1 something ended that should not have; 3 no Java, no jars, or no broker.
    """
    import asyncio
    import tempfile

    from rich.console import Console

    from monitor.cli.inputs import fail, settings_for
    from monitor.cli.operator import answers
    from monitor.cli.signals import until_stopped
    from streams import kafkajars
    from streams.devkafka import DevKafka, NodeFailed

    console = Console(highlight=False)
    try:
        kafkajars.java()
        if kafkajars.present(tools) is None:
            console.print(f"fetching Kafka {kafkajars.VERSION} into {tools} ...", style="dim")
        jars = kafkajars.fetch(tools)
        with tempfile.TemporaryDirectory(prefix="callwarden-live-") as scratch, until_stopped(), answers("live"):
            folder = Path(scratch)
            with DevKafka(folder / "kafka", jars, port=port) as node:
                console.print(f"Kafka {kafkajars.VERSION} serves at {node.address}", style="dim")
                (folder / "policy.yaml").write_text(POLICY, "utf-8")
                settings = settings_for({"bootstrap_servers": node.address})
                live = Live(
                    console, logs or folder, environment(node.address, folder / "policy.yaml", partitions), alerts
                )
                try:
                    live.once("topics", "create")
                    live.start("worker")
                    live.start("traffic", "--rate", str(rate), "--tenants", str(tenants), "--lateness", "10s")
                    asyncio.run(live.watch(settings, node))
                finally:
                    live.stop()
    except (kafkajars.Missing, NodeFailed) as error:
        fail(f"callwarden live: {error}", 3)
    except Ended as error:
        fail(f"callwarden live: {error}", 1)


def environment(address: str, policy: Path, partitions: int) -> dict[str, str]:
    """What the commands beside this one see: our own variables, and settings of theirs."""
    import os

    from streams.settings import variable

    settings = {
        "bootstrap_servers": address,
        "policy": str(policy),
        "partitions": str(partitions),
        "replication_factor": "1",
    }
    ours = {variable(field): value for field, value in settings.items()}
    return {**os.environ, **ours, "PYTHONUNBUFFERED": "1"}


class Ended(Exception):  # noqa: N818 - what happened
    """A command that should have gone on has ended. The message has the last lines that it wrote."""


class Live:
    """The commands that run beside this one, each writing into a log of its own in ``folder``, which is made."""

    def __init__(self, console: "Console", folder: Path, environment: dict[str, str], alerts: bool) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._console, self._folder, self._environment = console, folder, environment
        self._alerts = alerts
        self._children: dict[str, Child] = {}

    def once(self, *command: str) -> None:
        """Run a command to its end. Raises `Ended` when it fails."""
        self.start(*command)
        if self._children.pop(command[0]).wait():
            raise self._ended(command[0])

    def start(self, *command: str) -> None:
        """Start a command that goes on."""
        import sys

        from streams.child import Child

        with self._log(command[0]).open("wb") as log:
            self._children[command[0]] = Child([sys.executable, "-m", "monitor.cli", *command], log, self._environment)

    async def watch(self, settings: "Settings", node: "DevKafka") -> None:
        """Show decisions, alerts, all that the traffic says, and of the worker its warnings and errors.

        Raises `Ended` when a command or the node has.
        """
        import asyncio

        from monitor.cli.tail import show

        showing = asyncio.create_task(show(self._console, settings, from_start=True, alerts=self._alerts))
        try:
            with self._log("traffic").open("rb") as traffic, self._log("worker").open("rb") as worker:
                while not showing.done():
                    for line in traffic:
                        self._say(line, "dim")
                    for line in worker:
                        if _TROUBLE.search(line):
                            self._say(line, "red")
                    for name, child in self._children.items():
                        if not child.running:
                            raise self._ended(name)
                    if not node.running:
                        raise Ended(f"Kafka has ended:\n{node.last_words()}")
                    await asyncio.wait([showing], timeout=_LOOK_S)
            await showing
        finally:
            showing.cancel()
            await asyncio.wait([showing])

    def stop(self) -> None:
        """End the commands, the last started first."""
        while self._children:
            name, child = self._children.popitem()
            self._console.print(f"stopping the {name}", style="dim")
            child.stop(_STOP_S)

    def _say(self, line: bytes, style: str) -> None:
        self._console.print(line.decode(errors="replace").rstrip(), style=style, markup=False, soft_wrap=True)

    def _log(self, name: str) -> Path:
        return self._folder / f"{name}.log"

    def _ended(self, name: str) -> Ended:
        last = self._log(name).read_text("utf-8", "replace").splitlines()[-20:]
        return Ended(f"`callwarden {name}` has ended:\n" + "\n".join(last))
