"""`callwarden dev-kafka`: a real Kafka node of one's own, in the foreground."""

from pathlib import Path
from typing import Annotated

import typer


def run(
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 takes any free one.", min=0, max=65535)] = 9092,
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The folder of its storage.  [default: a temporary folder]")
    ] = None,
    tools: Annotated[Path, typer.Option(metavar="DIR", help="The folder of Kafka's jars.")] = Path(".tools/kafka"),
    brokers: Annotated[
        int,
        typer.Option(help="How many nodes, on consecutive ports; with 3, topics have replicas.", min=1, max=9),
    ] = 1,
    fetch: Annotated[bool, typer.Option("--fetch", help="Only fetch the jars.")] = False,
) -> None:
    """Start an Apache Kafka node (KRaft, 127.0.0.1, no Docker), or a cluster of nodes, and run it until Ctrl-C.

    It needs Java 17 or newer; Maven fetches its jars once. The first line on standard output is the address, or the
    addresses of all nodes, in the form of CALLWARDEN_BOOTSTRAP_SERVERS.

    Exit status: 1 Kafka has ended unexpectedly; 3 no Java, or no jars.
    """
    import tempfile

    from streams.cli.inputs import fail
    from streams.dev import kafka_jars as kafkajars
    from streams.dev.kafka_cluster import DevCluster
    from streams.dev.kafka_node import NodeFailed
    from streams.runtime.signals import until_stopped

    try:
        kafkajars.java()
        if kafkajars.present(tools) is None:
            typer.echo(f"fetching Kafka {kafkajars.VERSION} into {tools} ...", err=True)
        jars = kafkajars.fetch(tools)
        if fetch:
            typer.echo(f"Kafka {kafkajars.VERSION} is in {jars}")
            return
        with tempfile.TemporaryDirectory(prefix="callwarden-kafka-") as scratch, until_stopped():
            folder = data or Path(scratch)
            with DevCluster(folder, jars, brokers, port=port) as cluster:
                typer.echo(cluster.address)
                logs = ", ".join(str(node.log) for node in cluster.nodes.values())
                typer.echo(f"Kafka {kafkajars.VERSION} runs there, Ctrl-C stops it; log: {logs}", err=True)
                ended = cluster.wait()
                fail(f"callwarden dev-kafka: Kafka ended unexpectedly; {ended.log}:\n{ended.last_words()}", 1)
    except (kafkajars.MissingJars, NodeFailed) as error:
        fail(f"callwarden dev-kafka: {error}", 3)
