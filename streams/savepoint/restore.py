"""Restores the state of all partitions from an export.

Decisions made after the export are in the logs: the state gets their clocks, and the decisions are made again without
being published a second time, as after a lost state.
"""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from monitor.partition.checkpoint import HEAD, InputTopic
from monitor.partition.checkpoint_fields import is_head_part
from monitor.partition.chunking import Chunker
from monitor.partition.journal import (
    ClockAdvance,
    JournalEntry,
    LostInput,
    MaxAheadChange,
    PolicyChange,
    PolicyWithdrawal,
    ReviewKeysChange,
    SkippedRecord,
)
from monitor.partition.policy_versions import LostPolicyError, PolicyVersionRef, PolicyVersions
from monitor.policy.load import PolicyError
from streams.kafka.api import TP, Cluster, Fenced, PermanentError, Writer
from streams.kafka.outputs import OutputRecord
from streams.kafka.topic_names import TopicNames, require_topics
from streams.savepoint.archive import ArchiveReader
from streams.savepoint.transactions import transactions
from streams.topics import clock_topic
from streams.topics.partition_state import PartitionState
from streams.topics.published_output import published_output
from streams.topics.state_inputs import current_inputs
from streams.topics.state_topic import part_of
from streams.worker.recovery import pending_commands, read_commands


@dataclass(frozen=True, slots=True)
class RestoreOptions:
    """Which partitions are restored, None: all; and whether an existing state is replaced.

    ``rebind``: this cluster's input topics have the records of the export's inputs at the same offsets, and the state
    is bound to them. Otherwise it stays bound to the export's.
    """

    only: Container[int] | None = None
    replace: bool = False
    rebind: bool = False


async def restore_state(
    cluster: Cluster,
    names: TopicNames,
    application_id: str,
    export: ArchiveReader,
    options: RestoreOptions = RestoreOptions(),
    told: Callable[[PartitionState], None] = lambda part: None,
) -> list[str]:
    """Write the export into the state topic, which must have no state unless the options say to replace it.

    If the state stays bound to other input topics than this cluster's, their names are returned: workers refuse the
    state until that is accepted.

    No worker may run. If anything does not fit, nothing is written: raises PermanentError, or ArchiveError of the file.
    During the restore a partition has no head, so that no worker uses an incomplete state. After TransientError the
    restore can be started again.
    """
    only, rebind = options.only, options.rebind
    numbers = [number for number in range(export.header.partitions) if only is None or number in only]
    await _check(cluster, names, export, numbers if not options.replace else [])
    now = await current_inputs(cluster, names)
    bound = now if rebind else None
    others: list[str] = []
    for part in export.parts():  # all of them first: only the end shows whether the file is complete
        if part.number in numbers and part.judged is not None:
            await _head_now(cluster, names, part, bound)
            others += [one.name for one in now if not rebind and part.judged.inputs and one not in part.judged.inputs]
    for part in export.parts():
        if part.number not in numbers:
            continue
        writer = cluster.writer(f"{application_id}-{part.number}")
        try:
            await writer.start()  # fences a former owner
            await _write(cluster, names, writer, part, bound)
        except Fenced:
            raise PermanentError(
                f"partition {part.number}: a worker has started meanwhile; expected none until the import is complete"
            ) from None
        finally:
            await writer.stop()
        told(part)
    return list(dict.fromkeys(others))


async def _check(cluster: Cluster, names: TopicNames, export: ArchiveReader, empty: Iterable[int]) -> None:
    """Raise PermanentError if the export does not fit, or a partition that must be ``empty`` has a state."""
    header = export.header
    ours, theirs = (names.input_prefix, names.output_prefix), (header.input_prefix, header.output_prefix)
    if ours != theirs:
        raise PermanentError(
            f"{export.path} has the state of the topics {' and '.join(f'{one}*' for one in dict.fromkeys(theirs))}; "
            f"expected the settings' {' and '.join(f'{one}*' for one in dict.fromkeys(ours))}"
        )
    topic = names.output("state")
    counts = await cluster.partitions([topic])
    require_topics(counts, [topic])
    if counts[topic] != header.partitions:
        raise PermanentError(
            f"{export.path} has {header.partitions} partitions, {topic} has {counts[topic]}; expected the same "
            "number, because another number assigns tenants to other partitions"
        )
    for number in empty:
        # Whether its head can be read or not: it may be incomplete.
        if any(map(is_head_part, (await part_of(cluster, names, number)).entries)):
            raise PermanentError(
                f"{topic}-{number} already has a state. To overwrite it: --replace; to keep a copy, first run "
                "callwarden state export"
            )


async def _write(
    cluster: Cluster, names: TopicNames, writer: Writer, part: PartitionState, bound: Sequence[InputTopic] | None
) -> None:
    topic, key = names.output("state"), str.encode
    there = (await part_of(cluster, names, part.number)).entries
    heads = [name for name in {**there, **part.entries} if is_head_part(name)]
    gone = [*(name for name in heads if name in there), *(name for name in there if name not in part.entries)]
    outs = [OutputRecord(topic, part.number, key(name), None) for name in dict.fromkeys(gone)]
    outs += [
        OutputRecord(topic, part.number, key(name), value) for name, value in part.entries.items() if name not in heads
    ]
    for batch in transactions(outs):
        await writer.commit(batch, {})
    if part.judged is not None:
        head = await _head_now(cluster, names, part, bound)
        await writer.commit([OutputRecord(topic, part.number, key(name), value) for name, value in head], {})


async def _head_now(
    cluster: Cluster, names: TopicNames, part: PartitionState, bound: Sequence[InputTopic] | None
) -> list[tuple[str, bytes | None]]:
    """The stored head, updated by later journal entries and decisions; ``bound`` to these input topics unless None."""
    number = part.number
    clock, control = TP(names.output("clock"), number), TP(names.output("control"), number)
    starts, ends = await cluster.starts([control]), await cluster.ends([clock, control])
    entries: dict[int | None, list[JournalEntry]] = {}
    async for _, source, entry in clock_topic.journal_entries(cluster, clock, part.ends["clock"][0], ends[clock]):
        entries.setdefault(source, []).append(entry)
    head = msgspec.msgpack.decode(Chunker().join(part.entries)[HEAD])
    if bound is not None:
        head["inputs"] = msgspec.to_builtins(bound)
    for source, stored in enumerate(head["sources"]):
        stored |= apply_journal(stored, entries.get(source, []))
    published = await published_output(cluster, names, number)
    changes: list[tuple[str, bytes | None]] = []
    if policies := [entry for entry in entries.get(None, []) if isinstance(entry, PolicyChange | PolicyWithdrawal)]:
        changes = _switched(head, Chunker().join(part.entries), policies)
    head["published_ms"] = max(head["published_ms"], published.until_ms)
    # Commands whose outcome is recorded are skipped: an outage must not be ended twice. The others are still pending.
    commands = await read_commands(cluster, control, head["control"], starts[control], ends[control])
    head["control"] = next((offset for offset, _ in pending_commands(commands, entries, names)), ends[control])
    return Chunker().cut([*changes, (HEAD, msgspec.msgpack.encode(head))])


def _switched(
    head: dict[str, Any], blobs: dict[str, bytes], recorded: Sequence[PolicyChange | PolicyWithdrawal]
) -> list[tuple[str, bytes | None]]:
    """Add the policies recorded since to the head; returns their texts, to be stored with it."""
    versions = [PolicyVersionRef(**version) for version in head["versions"]]
    try:
        policies = PolicyVersions.stored(versions, blobs, head["watermark_ms"])
        policies.recall(recorded)
    except (PolicyError, LostPolicyError) as error:
        raise PermanentError(f"the clock log has a policy that this release cannot read: {error}") from None
    head["versions"] = [msgspec.to_builtins(version) for version in policies.heads()]
    return policies.changes()


def apply_journal(stored: Mapping[str, Any], entries: Iterable[JournalEntry]) -> dict[str, Any]:
    """The fields of a source's stored head, updated by later entries.

    Raises PermanentError if the source's log was created again: the head's offsets belong to another log.
    """
    resume, clock_ms = stored["resume"], stored["clock_ms"]
    moves = {move["offset"]: move for move in stored["moves"]}
    limits = {limit["offset"]: limit for limit in stored["limits"]}
    keys = {change["offset"]: change for change in stored.get("review_keys", [])}
    skips = {skip["offset"]: skip for skip in stored["skips"]}
    for entry in entries:
        fields = msgspec.to_builtins(entry)
        if isinstance(entry, LostInput) and entry.recreated:
            raise PermanentError("an input's log was recreated after the export; expected a later export")
        if isinstance(entry, ClockAdvance) and entry.offset <= resume:
            clock_ms = max(entry.clock_ms, clock_ms)
        elif isinstance(entry, ClockAdvance):
            before = moves.get(entry.offset, fields)
            moves[entry.offset] = max(before, fields, key=lambda move: int(move["clock_ms"]))
        elif isinstance(entry, MaxAheadChange):
            limits[entry.offset] = fields
        elif isinstance(entry, ReviewKeysChange):
            keys[entry.offset] = fields
        elif isinstance(entry, SkippedRecord):
            skips[entry.offset] = fields
    kept = {"moves": moves, "limits": limits, "skips": skips, "review_keys": keys}
    return {"clock_ms": clock_ms} | {name: [some[at] for at in sorted(some)] for name, some in kept.items()}
