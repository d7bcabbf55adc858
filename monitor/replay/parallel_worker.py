"""One process of the pool: reads all input, and judges its share of the tenants."""

import pickle
import traceback
from collections.abc import Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from monitor.core.garbage_collection import reduce_garbage_collection
from monitor.decoding.decoded_rows import DecodedRows
from monitor.decoding.late_line import LateLine
from monitor.replay.job_settings import JobSettings
from monitor.replay.local import UntilTooEarlyError, judge
from monitor.replay.parallel_messages import BANS, DONE, ERROR, PART
from monitor.replay.parallel_sources import JobSource, pieces_of
from monitor.replay.reader import SourcesReader
from monitor.replay.sharding import LocalShards, SharedReplay, TenantShare
from schemas.owners import OwnerBan


def work(connection: Connection, number: int, sources: Sequence[JobSource]) -> None:
    """The main function of a process: judges its share, and sends what it decides. The settings come first."""
    try:
        reduce_garbage_collection(batch=True)
        settings: JobSettings = pickle.loads(connection.recv_bytes())
        _judge_share(connection, number, sources, settings)
    except BaseException as error:  # noqa: BLE001 - whatever it was, the pool must say so and stop
        of_input = error if isinstance(error, (OSError, UntilTooEarlyError)) else None
        with suppress(OSError):  # the pool is gone
            _send(connection, ERROR, (of_input, traceback.format_exc()))


def _judge_share(connection: Connection, number: int, sources: Sequence[JobSource], settings: JobSettings) -> None:
    def exchange(bans: list[OwnerBan]) -> list[OwnerBan]:
        _send(connection, BANS, bans)
        others: list[OwnerBan] = pickle.loads(connection.recv_bytes())
        return others

    share, decoder = TenantShare(number, settings.jobs), settings.decoder()

    def shared(source: JobSource) -> Iterator[DecodedRows]:
        return map(share.keep, pieces_of(source, decoder, settings.piece_lines))

    shards = LocalShards(
        settings.versions,
        1,
        settings.wanted,
        settings.distance_options,
        settings.enforce_from_ms,
        shared=SharedReplay(share, exchange),
    )
    reader = SourcesReader([shared(source) for source in sources], LateLine.of(settings.versions))
    for part in judge(reader, shards, settings.until_ms):
        if number:
            part.read = 0  # the first process counts
        _send(connection, PART, part)
    _send(connection, DONE, (shards.tenants, shards.distances()))


def _send(connection: Connection, what: str, content: Any) -> None:
    connection.send_bytes(pickle.dumps((what, content), protocol=5))
