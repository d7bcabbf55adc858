"""The first release of aiokafka that changes what we use beyond its public interface fails here, by name."""

import ast
import hashlib
import inspect
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import aiokafka
import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient
from aiokafka.consumer import fetcher, subscription_state

from streams.kafka import aiokafka_private

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
