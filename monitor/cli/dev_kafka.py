"""`callwarden dev-kafka`: a real Kafka node of one's own, in the foreground."""

from pathlib import Path
from typing import Annotated

import typer


def run(
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 takes any free one.", min=0, max=65535)] = 9092,
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep its storage here.  [default: a folder gone at the end]")
    ] = None,
    tools: Annotated[Path, typer.Option(metavar="DIR", help="Where its jars are, or go.")] = Path(".tools/kafka"),
    fetch: Annotated[bool, typer.Option("--fetch", help="Only fetch what it needs.")] = False,
) -> None:
    """Start one Apache Kafka node (KRaft, 127.0.0.1, no Docker) and run it until Ctrl-C.

    It needs Java 17 or newer; its jars are fetched by Maven once. The first line on standard output is its address.
    """
    import tempfile

    from monitor.cli.inputs import fail
    from monitor.cli.signals import until_stopped
    from streams import kafkajars
    from streams.devkafka import DevKafka, NodeFailed

    try:
        kafkajars.java()
        if kafkajars.present(tools) is None:
            typer.echo(f"fetching Kafka {kafkajars.VERSION} into {tools} ...", err=True)
        jars = kafkajars.fetch(tools)
        if fetch:
            typer.echo(f"Kafka {kafkajars.VERSION} is in {jars}")
            return
        with tempfile.TemporaryDirectory(prefix="callwarden-kafka-") as scratch, until_stopped():
            node = DevKafka(data or Path(scratch), jars, port=port)
            with node:
                typer.echo(node.address)
                typer.echo(f"Kafka {kafkajars.VERSION} serves there; its log is {node.log}; Ctrl-C ends it", err=True)
                node.wait()
                fail(f"callwarden dev-kafka: Kafka ended by itself; {node.log} says:\n{node.last_words()}", 1)
    except (kafkajars.Missing, NodeFailed) as error:
        fail(f"callwarden dev-kafka: {error}", 3)
