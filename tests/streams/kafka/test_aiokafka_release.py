"""The first release of aiokafka that changes what we use beyond its public interface fails here, by name."""

import ast
import hashlib
import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import aiokafka
import pytest
import zstandard
from aiokafka import AIOKafkaConsumer, conn
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient
from aiokafka.consumer import fetcher, subscription_state
from aiokafka.producer.message_accumulator import BatchBuilder, MessageAccumulator, MessageBatch
from aiokafka.producer.sender import Sender
from aiokafka.producer.transaction_manager import TransactionManager
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from streams.kafka import aiokafka_private
from streams.kafka.api import PermanentError
from streams.kafka.produce.batch_sender import use_fast_compression

ZSTD, HEADER_BYTES = 4, 61  # of a record batch in Kafka's format 2
FILE = Path(aiokafka_private.__file__)
# The code that `aiokafka_private` replaces, calls by a private name, or depends on in another way.
RELIED_ON: dict[str, tuple[Callable[..., object], str]] = {
    "the patched class": (fetcher.FetchResult, "d7db13f06de8"),
    "what it takes records from": (fetcher.PartitionRecords.__init__, "4649d3084e59"),
    "aborted transactions": (fetcher.PartitionRecords._consume_aborted_up_to, "fcfcb05d740b"),
    "who calls `getall`": (fetcher.Fetcher.fetched_records, "e20ce0c8117f"),
    "who creates a `FetchResult`": (fetcher.Fetcher._proc_fetch_request, "ace04969424f"),
    "where the wait of a fetch is read": (fetcher.Fetcher._get_actions_per_node, "fd175a69d8d4"),
    "when the next fetch is sent": (fetcher.Fetcher._fetch_requests_routine, "12dc901a1e4a"),
    "how a consumer polls": (AIOKafkaConsumer.getmany, "01257a2c9786"),
    "positions": (subscription_state.TopicPartitionState, "2b83334afadf"),
    "assignments": (subscription_state.Assignment, "ce6859542c70"),
    "requests of a consumer": (AIOKafkaClient.send, "fb1726e3ed8e"),
    "topics that a client knows": (AIOKafkaClient.add_topic, "e0c08394440d"),
    "the wait for metadata": (AIOKafkaClient._maybe_wait_metadata, "38d642bf4365"),
    "what a batch that is sent asks of its builder": (MessageBatch, "36a7b1dac89d"),
    "how a batch is sent": (MessageAccumulator._pop_batch, "6dc3d1b62145"),
    "partitions of a transaction": (TransactionManager.maybe_add_partition_to_txn, "db7059aa8846"),
    "the order of a transaction's requests": (Sender._maybe_do_transactional_request, "84a1736c0bd8"),
    "the end of a transaction without records": (Sender._do_txn_commit, "a474e71ab00f"),
    "the protocol of a connection": (aiokafka_private.FramesProtocol.__bases__[0], "0f94e2d60152"),
    "a connection, whose reading task is replaced": (conn.AIOKafkaConnection, "ac26ab36fe7c"),
    "requests of an admin client": (AIOKafkaAdminClient._send_request, "651fab1488ec"),
}


def digest(code: Callable[..., object]) -> str:
    """Of the source without its indentation; a changed comment counts, for it may say why."""
    return hashlib.sha256(textwrap.dedent(inspect.getsource(code)).encode()).hexdigest()[:12]


def private_names(path: Path) -> Iterator[str]:
    """The private attributes of objects other than ``self`` and ``cls`` that a file uses."""
    tree = ast.parse(path.read_text("utf-8"))
    own = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and is_self(node.value)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr[:1] == "_" != node.attr[1:2] and node.attr not in own:
            yield f"{path.name}:{node.lineno}: {node.attr}"


def is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in ("self", "cls")


@pytest.mark.parametrize("what", RELIED_ON)
def test_the_code_that_we_rely_on_is_that_of_the_release_that_was_read(what: str) -> None:
    code, known = RELIED_ON[what]
    found = digest(code)
    assert found == known, (
        f"aiokafka {aiokafka.__version__} has changed {code.__module__}.{code.__qualname__} ({what}): compare it with "
        f"aiokafka 0.14, adapt {FILE.name} if needed, and then write {found!r} here"
    )


def test_private_names_of_aiokafka_are_used_in_one_file() -> None:
    used = [name for path in sorted(FILE.parent.rglob("*.py")) if path != FILE for name in private_names(path)]
    assert used == []
    assert list(private_names(FILE)), "the search finds those of that file"


def test_producers_compress_batches_by_our_function(monkeypatch: pytest.MonkeyPatch) -> None:
    module = sys.modules[DefaultRecordBatchBuilder.__module__]
    monkeypatch.setattr(module, "zstd_encode", None)
    use_fast_compression()
    builder = BatchBuilder(1_000_000, ZSTD, is_transactional=1)
    for n in range(1_000):
        builder.append(timestamp=1_000, key=b"k%d" % n, value=b"a value that repeats " * 5, headers=[])
    built = bytes(builder._build())
    frame = zstandard.get_frame_parameters(built[HEADER_BYTES:])
    assert frame.content_size > 100_000, "the size is stated, which readers compare with their limit"
    assert len(built) < frame.content_size // 10
    batch = MemoryRecords(built).next_batch()
    assert [record.key for record in batch] == [b"k%d" % n for n in range(1_000)]


def test_a_release_that_compresses_by_another_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(sys.modules[DefaultRecordBatchBuilder.__module__], "zstd_encode")
    with pytest.raises(PermanentError, match=r"compresses by another name than zstd_encode; expected 0\.14\."):
        use_fast_compression()
