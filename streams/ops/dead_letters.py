"""Dead letters: reads the records of the dead-letter topic, and writes them back to their input topics.

Each write-back adds a mark to the dead-letter topic in the same transaction: a record without a value whose header
``retried`` is the letter's offset in that partition. So every operator sees what was retried.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from monitor.partition.partitioner import Partitioner, partition_of
from schemas.review_signature import SIGNATURE_HEADER, kept, signatures_in
from streams.kafka.api import TP
from streams.kafka.cluster import KafkaCluster
from streams.kafka.outputs import OutputRecord
from streams.kafka.read.range_reader import WholeRecord
from streams.kafka.topic_names import TopicNames, require_topics
from streams.ops.control_client import Unconfirmed, commit_records, open_operator_writer

_AT_ONCE = 500  # letters in one transaction
_DIGITS = 19  # of the largest offset of Kafka; more is no number that a worker writes, and Python may refuse to read it
_LOOK = "`callwarden dead-letter list` marks what was written back; the same command skips that when you run it again"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A rejected record: its origin, the reason, and its offset in the dead-letter topic.

    If ``length`` is set, the value is the truncated head of that many bytes. If ``first_offset`` is set, the value is a
    record batch from that offset to ``origin_offset`` that could not be split. ``signature`` is the header that signed
    the record, if any.
    """

    number: int
    offset: int
    at_ms: int
    key: bytes | None
    value: bytes | None
    reason: str
    origin: TP
    origin_offset: int
    length: int | None = None
    first_offset: int | None = None
    signature: bytes | None = None

    @property
    def incomplete(self) -> str | None:
        """Why the letter is not the complete record, and where that is; None if it is complete."""
        if self.first_offset is None and self.length is None:
            return None
        what = "a record batch that could not be split" if self.length is None else "the beginning of the record"
        if self.length is not None:
            what += f", {len(self.value or b''):,} of {self.length:,} bytes"
        first = self.origin_offset if self.first_offset is None else self.first_offset
        return (
            f"it is {what}. While the topic keeps it, read it with kafka-console-consumer.sh --topic "
            f"{self.origin.topic} --partition {self.origin.partition} --offset {first} --max-messages "
            f"{self.origin_offset - first + 1}"
        )

    @property
    def came_from_topic(self) -> bool:
        """Whether it names a topic that it came from; what the ingest service rejects never was in one."""
        return bool(self.origin.topic)

    @property
    def id(self) -> str:
        """The id that operators use: partition and offset."""
        return f"{self.number}-{self.offset}"


async def read(
    cluster: KafkaCluster,
    names: TopicNames,
    wanted: Callable[[DeadLetter], bool],
    most: int | None = None,
    *,
    tail: int | None = None,
) -> tuple[list[DeadLetter], set[str]]:
    """The newest ``most`` of the wanted letters, oldest first, and the ids of all retried ones.

    With ``tail`` only so many of the newest offsets of each partition are read. Raises TransientError, PermanentError
    and OffsetOutOfRange.
    """
    topic = names.output("dead-letter")
    counts = await cluster.partitions([topic])
    require_topics(counts, [topic])
    tps = [TP(topic, number) for number in range(counts[topic])]
    starts, ends = await cluster.starts(tps), await cluster.ends(tps)
    letters: list[DeadLetter] = []
    retried: set[str] = set()
    for tp in tps:
        here: list[DeadLetter] = []
        async for records in cluster.records(tp, _first(starts[tp], ends[tp], tail), ends[tp]):
            for record in records:
                headers = {name: value.decode(errors="replace") for name, value in record.headers}
                if "retried" in headers:
                    retried.add(f"{tp.partition}-{headers['retried']}")
                elif wanted(letter := _letter(record, headers)):
                    here.append(letter)
            here = _newest(here, most)
        letters += here
    return _newest(sorted(letters, key=lambda letter: (letter.at_ms, letter.number, letter.offset)), most), retried


def _first(start: int, end: int, tail: int | None) -> int:
    return start if tail is None else max(start, end - tail)


def _newest(letters: list[DeadLetter], most: int | None) -> list[DeadLetter]:
    return letters if most is None else letters[max(len(letters) - most, 0) :]


def _letter(record: WholeRecord, headers: dict[str, str]) -> DeadLetter:
    def number(name: str) -> int:
        text = headers.get(name, "")
        return int(text) if text.isascii() and text.isdigit() and len(text) <= _DIGITS else -1

    return DeadLetter(
        record.partition,
        record.offset,
        record.timestamp,
        record.key,
        record.value,
        headers.get("reason") or record.unreadable or "",
        TP(headers.get("topic", ""), number("partition")),
        number("offset"),
        number("length") if "length" in headers else None,
        number("first_offset") if "first_offset" in headers else None,
        kept(signatures_in(record.headers)),
    )


async def retry(
    cluster: KafkaCluster,
    names: TopicNames,
    application_id: str,
    letters: Sequence[DeadLetter],
    home: "Home",
    *,
    again: bool = False,
) -> list[DeadLetter]:
    """Write each letter back to its input topic and mark it, atomically; returns the letters that were written.

    Leaves out incomplete letters and, unless ``again``, those already written back. Raises TransientError if nothing
    was sent, Unconfirmed if the outcome is unknown, PermanentError and OffsetOutOfRange.
    """
    topic = names.output("dead-letter")
    async with open_operator_writer(cluster, application_id) as writer:
        # From here on a write of another operator fences this writer.
        _, retried = await read(cluster, names, lambda letter: False)
        letters = [letter for letter in letters if (again or letter.id not in retried) and not letter.incomplete]
        for start in range(0, len(letters), _AT_ONCE):
            outs: list[OutputRecord] = []
            for letter in letters[start : start + _AT_ONCE]:
                origin: tuple[tuple[str, bytes], ...] = (("retried-from", f"{topic}-{letter.id}".encode()),)
                if letter.signature is not None:
                    origin = (*origin, (SIGNATURE_HEADER, letter.signature))
                outs.append(OutputRecord(letter.origin.topic, home(letter), letter.key, letter.value, origin))
                mark = (("retried", str(letter.offset).encode()),)
                outs.append(OutputRecord(topic, letter.number, letter.key, None, mark))
            try:
                await commit_records(writer, outs)
            except Unconfirmed as error:
                raise Unconfirmed(str(error), _LOOK) from None
    return letters


Home = Callable[[DeadLetter], int]
"""The partition of its topic to which a letter goes back."""


def return_partition(partitions: int, partitioner: Partitioner) -> Home:
    """The partition of the letter's key; without a key the one that it came from."""

    def home(letter: DeadLetter) -> int:
        return letter.origin.partition if letter.key is None else partition_of(letter.key, partitions, partitioner)

    return home


def unreturnable_letters(letters: Iterable[DeadLetter], names: TopicNames, partitions: int) -> list[DeadLetter]:
    """Letters that cannot go back: they do not name an existing partition of an input topic."""
    return [
        letter
        for letter in letters
        if names.source(letter.origin.topic) is None or not 0 <= letter.origin.partition < partitions
    ]
