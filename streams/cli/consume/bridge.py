"""`callwarden bridge`: map the records of a foreign Kafka topic, and write them to the input topics."""

from enum import StrEnum
from typing import Annotated

import typer

from streams.cli.options import Bootstrap, Constants
from streams.cli.service_options import JsonLogs, serve


class Encoding(StrEnum):
    """How the values of the source topic are encoded."""

    JSON = "json"
    AVRO = "avro"
    PROTOBUF = "protobuf"


class Start(StrEnum):
    """Where a new group begins."""

    BEGINNING = "beginning"
    END = "end"


def run(
    source_topic: Annotated[str, typer.Option("--source-topic", metavar="TOPIC", help="The topic to read.")],
    form: Annotated[
        str, typer.Option("--format", metavar="NAME|MAPPING.yaml", help="The format of the records' values.")
    ],
    constants: Constants = None,
    feed: Annotated[
        str | None,
        typer.Option("--feed", metavar="NAME", help="The name of the source, for events.  [default: the format]"),
    ] = None,
    group: Annotated[
        str | None,
        typer.Option("--group", metavar="GROUP", help="The consumer group, if not APPLICATION_ID-bridge-TOPIC."),
    ] = None,
    encoding: Annotated[
        Encoding, typer.Option("--encoding", help="How values are encoded: by a schema registry, if not as JSON.")
    ] = Encoding.JSON,
    start_at: Annotated[Start, typer.Option("--start-at", help="Where a new group begins.")] = Start.BEGINNING,
    bootstrap: Bootstrap = None,
    port: Annotated[int | None, typer.Option(help="The port of /metrics, /readyz and /healthz.")] = None,
    json_logs: JsonLogs = False,
) -> None:
    """Map the records of another topic of the same cluster, and write them to the input topics, each exactly once.

    What cannot be mapped goes to the dead letters as it came. Start as many as the topic has partitions. It stops on
    TERM. Settings are environment variables, or in a file: see `docs/guides/bridge.md`.

    Exit status: 1 an unexpected error, or it did not stop in time after TERM; 2 wrong settings or a wrong format, or
    something that the cluster does not have or does not allow.
    """
    from pathlib import Path

    from streams.cli.inputs import adapter_for, fail, settings_for
    from streams.ingest.bridge.main import BridgeOptions
    from streams.ingest.bridge.main import run as bridge
    from streams.ingest.foreign_rows import DocumentAdapter, EventAdapter
    from streams.ingest.registry.decoder import open_decoder
    from streams.kafka.cluster import KafkaCluster

    settings = settings_for({"bootstrap_servers": bootstrap, "bridge_port": port})
    adapter = adapter_for(form, constants or [])
    if not isinstance(adapter, DocumentAdapter | EventAdapter):
        fail(f"--format {form}: it reads files only; expected a mapping")
    group = group or f"{settings.application_id}-bridge-{source_topic}"
    options = BridgeOptions(source_topic, group, adapter, feed or Path(form).stem, start_at is Start.END)

    async def start(cluster: KafkaCluster) -> None:
        decode = None
        if encoding is not Encoding.JSON:
            decode = open_decoder(settings, "avro" if encoding is Encoding.AVRO else "protobuf").decode
        await bridge(settings, cluster, options, decode)

    serve("bridge", settings, json_logs, start, group)
