"""`callwarden dead-letter`: look at records that could not be read, and write them back."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.cli.options import Bootstrap, Json, Yes
from streams.cli.outputs import print_json

if TYPE_CHECKING:
    from monitor.text.display import Display
    from streams.ops.dead_letters import DeadLetter

app = typer.Typer()

_SHOWN = 200  # characters of a record
_LOOKED_AT = 8_192  # bytes of a record that are looked at

Topic = Annotated[str | None, typer.Option("--topic", metavar="TOPIC", help="Only records of this input topic.")]
Error = Annotated[str | None, typer.Option("--error", metavar="WORDS", help="Only records whose error contains it.")]
Partition = Annotated[int | None, typer.Option("--partition", min=0, help="Only records of this partition.")]


@app.command("list")
def list_(
    topic: Topic = None,
    error: Error = None,
    partition: Partition = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Only this many, the newest.")] = 50,
    as_json: Json = False,
    bootstrap: Bootstrap = None,
) -> None:
    """List the records that could not be read, oldest first: id, time, origin, error, and the record with telephone
    numbers masked.

    Exit status: 3 Kafka cannot be reached.
    """
    from monitor.text.timestamps import rfc3339
    from streams.cli.cluster_session import operate
    from streams.cli.inputs import settings_for
    from streams.kafka.topic_names import TopicNames
    from streams.ops.dead_letters import read

    settings = settings_for({"bootstrap_servers": bootstrap})
    names = TopicNames.from_settings(settings)
    letters, retried = operate(
        "dead-letter list",
        settings,
        lambda cluster: read(cluster, names, lambda letter: _fits(letter, topic, error, partition), limit),
    )
    if as_json:
        print_json({"dead_letters": [_plain(letter, letter.id in retried) for letter in letters]})
        return
    for letter in letters:
        value, why = _masked(letter.value, settings.display), _why(letter, settings.display)
        again = "  (retried)" if letter.id in retried else "  (incomplete)" if letter.incomplete else ""
        typer.echo(f"{letter.id}  {rfc3339(letter.at_ms)}  {_place(letter)}{again}\n    {why}\n    {value}")
    if not letters:
        typer.echo("no dead letters")


@app.command("retry")
def retry(
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="ID", help="Ids as `callwarden dead-letter list` shows them.")
    ] = None,
    topic: Topic = None,
    error: Error = None,
    partition: Partition = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Only this many, the newest.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Retry all.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Also retry records that were retried before.")] = False,
    yes: Yes = False,
    bootstrap: Bootstrap = None,
) -> None:
    """Write dead letters back to the input topics that they came from, unchanged, to the partition of their key.

    Do so once the cause of the error is fixed. A record that still cannot be read becomes a new dead letter; a call
    that is older than the policy's lateness is late.

    Exit status: 1 you did not agree; 2 no such dead letter; 3 Kafka cannot be reached.
    """
    from streams.cli.cluster_session import operate
    from streams.cli.inputs import fail, settings_for
    from streams.kafka.cluster import KafkaCluster
    from streams.kafka.topic_names import TopicNames
    from streams.ops.control_client import partition_count
    from streams.ops.dead_letters import read, return_partition, unreturnable_letters
    from streams.ops.dead_letters import retry as write_back

    if not (ids or topic or error or partition is not None or all_):
        fail("expected ids as `callwarden dead-letter list` shows them, a filter, or --all")
    settings = settings_for({"bootstrap_servers": bootstrap})
    names = TopicNames.from_settings(settings)
    chosen = set(ids or ())

    def wanted(letter: "DeadLetter") -> bool:
        return (not chosen or letter.id in chosen) and _fits(letter, topic, error, partition)

    async def look(cluster: KafkaCluster) -> "tuple[list[DeadLetter], set[str], int]":
        letters, retried = await read(cluster, names, wanted)
        return letters, retried, await partition_count(cluster, names)

    letters, retried, count = operate("dead-letter retry", settings, look)
    if missing := sorted(chosen - {letter.id for letter in letters}):
        fail(f"{', '.join(missing)}: no such dead letter, or the filters exclude it")
    lost = unreturnable_letters(letters, names, count)
    for letter in lost:
        typer.echo(f"{letter.id}: skipped: expected an origin in an input topic, got {_place(letter)}", err=True)
    parts = [letter for letter in letters if letter.incomplete and letter not in lost]
    for letter in parts:
        typer.echo(f"{letter.id}: cannot be retried: {_printable(letter.incomplete or '')}", err=True)
    lost += parts
    before = [letter for letter in letters if letter.id in retried]
    if before and not again:
        typer.echo(
            f"skipped, retried before: {', '.join(letter.id for letter in before)}; --again retries them", err=True
        )
    letters = [letter for letter in letters if letter not in lost and (again or letter.id not in retried)]
    if limit is not None:
        letters = letters[max(len(letters) - limit, 0) :]
    if not letters:
        typer.echo("nothing to retry")
        return
    for letter in letters:
        twice = ", which was retried before" if letter.id in retried else ""
        typer.echo(f"{letter.id}{twice}: {_place(letter)}: {_why(letter, settings.display)}")
    topics = ", ".join(sorted({letter.origin.topic for letter in letters}))
    if not yes:
        typer.confirm(f"Write {len(letters)} back to {topics}?", abort=True)
    home = return_partition(count, settings.partitioner)
    written = operate(
        "dead-letter retry",
        settings,
        lambda cluster: write_back(cluster, names, settings.application_id, letters, home, again=again),
    )
    if others := [letter.id for letter in letters if letter not in written]:
        typer.echo(f"skipped, another operator has retried them meanwhile: {', '.join(others)}", err=True)
    typer.echo(f"{len(written)} written back to {topics}")


def _plain(letter: "DeadLetter", retried: bool) -> dict[str, Any]:
    from monitor.text.display import RECORDS

    return {
        "id": letter.id,
        "at_ms": letter.at_ms,
        "topic": letter.origin.topic,
        "partition": letter.origin.partition,
        "offset": letter.origin_offset,
        "error": _why(letter, RECORDS),
        "retried": retried,
        "value": _masked(letter.value, RECORDS),
        "length": letter.length,
        "first_offset": letter.first_offset,
    }


def _fits(letter: "DeadLetter", topic: str | None, error: str | None, partition: int | None) -> bool:
    return (
        (topic is None or letter.origin.topic == topic)
        and (error is None or error in letter.reason)
        and (partition is None or letter.origin.partition == partition)
    )


def _place(letter: "DeadLetter") -> str:
    if not letter.came_from_topic:
        return "no topic (rejected when it was received)"
    # The topic is a header's, and anybody's.
    return f"{_printable(letter.origin.topic)}-{letter.origin.partition}-{letter.origin_offset}"


def _masked(value: bytes | None, display: "Display") -> str:
    if value is None:
        return "(no value)"
    return _printable(display.raw(value[:_LOOKED_AT].decode(errors="backslashreplace"), _SHOWN))


def _why(letter: "DeadLetter", display: "Display") -> str:
    from monitor.text.display import ids_in
    from monitor.text.masking import mask_text

    ids = ids_in((letter.value or b"")[:_LOOKED_AT].decode(errors="backslashreplace"))
    return _printable(mask_text(letter.reason, ids, display.mask_ids))


def _printable(text: str) -> str:
    # What a terminal would obey rather than show is shown as Python writes it.
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
