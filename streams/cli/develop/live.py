"""`callwarden live`: all of it in one terminal, on a Kafka node of its own."""

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, NamedTuple

import typer

from monitor.text.private_files import make_folder

if TYPE_CHECKING:
    from streams.cli.develop.screen import Screen
    from streams.consumers.notify.messages.message import Message
    from streams.dev.kafka_node import DevKafka
    from streams.runtime.child_process import ChildProcess
    from streams.settings.load import Settings

# The built-in policy, but for how long calls may be on their way.
POLICY = """\
id: access-rules-live
version: "1"
defaults:
  lateness: 10s
"""
# What the ingest service takes at /v1/in/NAME.
SOURCES = """\
sources:
- name: amazon-connect
- name: asterisk-cel
- name: asterisk-csv
- name: bandwidth
- name: freeswitch-csv
- name: freeswitch-json
- name: genesys
- name: kamailio-acc
- name: kamailio-cdrs
- name: opensips-acc
- name: plivo
- name: tccc
- name: telnyx
- name: twilio
- name: twilio-events
- name: vonage
"""
NO_GRACE_MS = 1_000
"""The least outage grace: no feed of calls is away here, and nothing waits for one."""
# The ingest service, the assembler, and the consumers of the output.
BESIDE = (
    ("ingest",),
    ("assemble",),
    ("billing",),
    ("ledger", "run"),
    ("notify",),
    ("console", "run", "--sign-in-links"),
)
# Starts once the past day is in the topics: a worker that has waited for calls takes those of the past as late.
WORKER = ("worker",)
_PAST_IS_SENT = re.compile(rb"\bpast day is (?:sent|skipped)\b")
_SIGN_IN = re.compile(rb"/sign-in\?once=")
# Lines of their logs that one should see.
_TROUBLE = re.compile(rb"\[(?:warning|error|critical) *\]")
_STOP_S = 30.0
_LOOK_S = 0.5
_STATUS_S = 1.0
_READY = "就绪：现在发送的记录会被判定 / ready: records that you send now are decided"


def run(
    rate: Annotated[float, typer.Option(help="Calls a second, on average on a weekday.")] = 5.0,
    tenants: Annotated[int, typer.Option(help="How many tenants; with 30 or more every kind occurs.", min=1)] = 60,
    partitions: Annotated[
        int, typer.Option(metavar="N", help="How many partitions each topic has.", min=1, max=64)
    ] = 4,
    kafka_port: Annotated[
        int, typer.Option(help="Kafka's port on 127.0.0.1; 0 takes any free one.", min=0, max=65535)
    ] = 0,
    alerts: Annotated[bool, typer.Option(help="Also show alerts.")] = True,
    traffic: Annotated[
        bool, typer.Option(help="Send simulated traffic; without it, only your own records come.")
    ] = True,
    logs: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The folder for logs.  [default: a temporary folder]")
    ] = None,
    tools: Annotated[Path, typer.Option(metavar="DIR", help="The folder of Kafka's jars.")] = Path(".tools/kafka"),
) -> None:
    """Start Kafka, topics, a worker, the ingest service, consumers, the console and traffic, until Ctrl-C.

    The assembler of events runs, too. It shows decisions, alerts and the messages to the ops team. The past day comes
    first, as fast as it can be judged; then traffic continues in real time. With --no-traffic the installation is empty
    and decides on the records that you send. Nothing is left behind.

    Exit status: 1 a program has ended unexpectedly; 3 no Java, no jars, or no broker.
    """
    import asyncio
    import secrets
    import tempfile

    from streams.cli.cluster_session import answers
    from streams.cli.develop.screen import PipedConsole, Screen
    from streams.cli.inputs import fail, settings_for
    from streams.dev import kafka_jars as kafkajars
    from streams.dev.kafka_node import DevKafka, NodeFailed, free_ports
    from streams.runtime.signals import until_stopped

    console = PipedConsole(highlight=False)
    try:
        kafkajars.java()
        if kafkajars.present(tools) is None:
            console.print(f"fetching Kafka {kafkajars.VERSION} into {tools} ...", style="dim")
        jars = kafkajars.fetch(tools)
        with tempfile.TemporaryDirectory(prefix="callwarden-live-") as scratch, until_stopped(), answers("live"):
            folder = Path(scratch)
            with DevKafka(folder / "kafka", jars, port=kafka_port) as node:
                console.print(f"Kafka {kafkajars.VERSION} runs at {node.address}", style="dim")
                (folder / "policy.yaml").write_text(POLICY, "utf-8")
                (folder / "sources.yaml").write_text(SOURCES, "utf-8")
                settings = settings_for({"bootstrap_servers": node.address})
                board = Board(free_ports(1)[0], secrets.token_hex(32))
                screen = Screen(console)
                live = LiveProcesses(
                    screen, logs or folder, environment(node.address, folder, partitions, board), alerts, board
                )
                try:
                    live.once("topics", "create")
                    for command in BESIDE:
                        live.start(*command)
                    if traffic:
                        live.start("traffic", "--rate", str(rate), "--tenants", str(tenants), "--lateness", "10s")
                    else:
                        live.start(*WORKER)
                    for what, at in pages(settings).items():
                        screen.line(f"{what}: {at}", "dim")
                    with screen:
                        asyncio.run(live.watch(settings, node))
                finally:
                    live.stop()
    except (kafkajars.MissingJars, NodeFailed) as error:
        fail(f"callwarden live: {error}", 3)
    except Ended as error:
        fail(f"callwarden live: {error}", 1)


class Board(NamedTuple):
    """The address of the webhook receiver that prints the notifier's messages."""

    port: int
    secret: str


def environment(address: str, folder: Path, partitions: int, board: Board) -> dict[str, str]:
    """What the commands beside this one see: our own variables, and settings of theirs."""
    import os

    from streams.consumers.notify.webhook_receiver import address as where
    from streams.settings.load import variable

    settings = {
        "bootstrap_servers": address,
        "policy": str(folder / "policy.yaml"),
        "partitions": str(partitions),
        "replication_factor": "1",
        "billing_auth": "none",  # no tokens on this machine
        "ingest_auth": "none",
        "ingest_sources_file": str(folder / "sources.yaml"),
        "ledger_heads": str(folder / "heads.jsonl"),
        "notify_webhook_url": where(board.port),
        "notify_webhook_secret": board.secret,
        "notify_delay_ms": "30s",
        "outage_grace_ms": f"{NO_GRACE_MS // 1_000}s",
        "log_format": "text",
    }
    for name in ("billing", "ledger", "notify", "console"):
        settings[f"{name}_database"] = f"sqlite:///{folder / name}.db"
    ours = {variable(field): value for field, value in settings.items()}
    return {**os.environ, **ours, "PYTHONUNBUFFERED": "1"}


def pages(settings: "Settings") -> dict[str, str]:
    """What can be looked at, and where."""
    host = f"http://{settings.web_host}"
    return {
        "metrics of the worker": f"{host}:{settings.web_port}/metrics",
        "the ingest service takes records at": f"{host}:{settings.ingest_port}/v1/records",
        "rows and events of other systems, NAME as in `map list`": f"{host}:{settings.ingest_port}/v1/in/NAME",
        "metrics of the assembler": f"{host}:{settings.assemble_port}/metrics",
        "whether refunds are frozen": f"{host}:{settings.billing_port}/docs",
        "metrics of the ledger": f"{host}:{settings.ledger_port}/metrics",
        "the console": f"{host}:{settings.console_port}/",
        "metrics of the notifier": f"{host}:{settings.notify_port}/metrics",
    }


class Ended(Exception):
    """A command has ended unexpectedly. The message has the last lines that it wrote."""


class LiveProcesses:
    """The commands that run beside this one, each writing into a log of its own in ``folder``, which is made."""

    def __init__(self, screen: "Screen", folder: Path, environment: dict[str, str], alerts: bool, board: Board) -> None:
        make_folder(folder)
        self._screen, self._folder, self._environment = screen, folder, environment
        self._alerts, self._board = alerts, board
        self._children: dict[str, ChildProcess] = {}
        self._troubled: set[str] = set()

    def once(self, *command: str) -> None:
        """Run a command to its end. Raises `Ended` when it fails."""
        self.start(*command)
        if self._children.pop(command[0]).wait():
            raise self._ended(command[0])

    def start(self, *command: str) -> None:
        """Start a command that keeps running."""
        import sys

        from streams.runtime.child_process import ChildProcess

        with self._log(command[0]).open("wb") as log:
            self._children[command[0]] = ChildProcess(
                [sys.executable, "-m", "streams.cli", *command], log, self._environment
            )

    async def watch(self, settings: "Settings", node: "DevKafka") -> None:
        """Show decisions, alerts, messages, all that the traffic says, and of the others their warnings and errors.

        Raises `Ended` when a command or the node has.
        """
        import asyncio
        from contextlib import AsyncExitStack

        from streams.cli.develop.tail import show
        from streams.consumers.notify.webhook_receiver import listening

        showing = asyncio.create_task(show(self._screen, settings, from_start=True, alerts=self._alerts))
        progress = asyncio.create_task(self._show_status(settings))
        try:
            async with AsyncExitStack() as opened:
                await opened.enter_async_context(listening(*self._board, self._notice))
                logs: dict[str, BinaryIO] = {}
                while not showing.done():
                    for name in self._children.keys() - logs.keys():
                        logs[name] = opened.enter_context(self._log(name).open("rb"))
                    for name, log in logs.items():
                        for line in log:
                            self._log_line(name, line)
                    for name, child in self._children.items():
                        if not child.running:
                            raise self._ended(name)
                    if not node.running:
                        raise Ended(f"Kafka has ended:\n{node.last_words()}")
                    await asyncio.wait([showing], timeout=_LOOK_S)
            await showing
        finally:
            showing.cancel()
            progress.cancel()
            await asyncio.wait([showing, progress])

    async def _show_status(self, settings: "Settings") -> None:
        """Keep the status line current until cancelled.

        It prints once that worker and ingest service are ready, and once where late and rejected records are found.
        """
        import asyncio

        from streams.cli.develop.live_status import LATE_NOTE, REJECTED_NOTE, WAITING, all_ready, live_status

        host = f"http://{settings.web_host}"
        worker, ready = f"{host}:{settings.web_port}", False
        printed: set[str] = set()
        while True:
            status = await asyncio.to_thread(live_status, worker)
            self._screen.status(*((str(status), status.counts) if status is not None else (WAITING,)))
            notes = {LATE_NOTE: status.late, REJECTED_NOTE: status.rejected} if status is not None else {}
            for note in [note for note, count in notes.items() if count and note not in printed]:
                printed.add(note)
                self._screen.line(note.format(address=settings.bootstrap_servers), "yellow")
            if not ready and (ready := await asyncio.to_thread(all_ready, (worker, f"{host}:{settings.ingest_port}"))):
                self._screen.line(_READY, "green")
            await asyncio.sleep(_STATUS_S)

    def stop(self) -> None:
        """End all commands at the same time: they need Kafka, which ends after them, and do not need each other."""
        for name, child in reversed(self._children.items()):
            self._screen.line(f"stopping {name}", "dim")
            child.terminate()
        until_s = time.monotonic() + _STOP_S
        while self._children:
            _, child = self._children.popitem()
            child.end_within(max(0.0, until_s - time.monotonic()))

    def _notice(self, message: "Message") -> None:
        if message.others:
            self._screen.line(f"通知 Notice  {message.title.zh} / {message.title.en}", "cyan")

    def _log_line(self, name: str, line: bytes) -> None:
        """Show a line of a command's log if it is worth it."""
        if name == "traffic":
            self._say(line, "dim")
            if _PAST_IS_SENT.search(line):
                self.start(*WORKER)
        elif name == "console" and _SIGN_IN.search(line):
            self._say("登录控制台 / sign in to the console as ".encode() + line, "green")
        elif _TROUBLE.search(line):
            self._say(f"{name}: ".encode() + line, "red")
            if name not in self._troubled:  # the log has what follows the line, such as a traceback
                self._troubled.add(name)
                self._screen.line(f"{name} 的日志 / the log of {name}: {self._log(name)}", "red")

    def _say(self, line: bytes, style: str) -> None:
        self._screen.line(line.decode(errors="replace").rstrip(), style)

    def _log(self, name: str) -> Path:
        return self._folder / f"{name}.log"

    def _ended(self, name: str) -> Ended:
        last = self._log(name).read_text("utf-8", "replace").splitlines()[-20:]
        return Ended(f"`callwarden {name}` has ended:\n" + "\n".join(last))
