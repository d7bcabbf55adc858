"""An unavailable broker: reported in one line and waited for; nothing is lost or corrupted after its return."""

import asyncio
from pathlib import Path

import pytest
from broker_clusters import Member, assert_seamless, cluster_at, end_reaches, make_topic, produce, values
from deadlines import deadline

from streams.dev.kafka_node import DevKafka
from streams.kafka.api import TP, Fenced, FetchedBatch, TransientError
from streams.kafka.outputs import OutputRecord

pytestmark = pytest.mark.services


def one_line(error: BaseException) -> str:
    text = str(error)
    assert text
    assert "\n" not in text
    assert "Traceback" not in text
    return text


async def take_for_ever(member: Member, tp: TP, batches: list[FetchedBatch]) -> None:
    while True:
        batches += (await member.consumer.poll([tp], 0.2, 1000)).values()


async def test_no_broker_at_all_is_reported_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    tp = TP("t", 0)
    async with cluster_at("127.0.0.1:1") as cluster:
        with pytest.raises(TransientError, match=r"127\.0\.0\.1:1.*refused") as away:
            await cluster.partitions(["t"])
        one_line(away.value)
        for asking in (
            cluster.ends([tp]),
            cluster.writer("w").start(),
            Member(cluster.consumer(["t"])).start(),
            anext(cluster.read(tp, 0, 1)),
        ):
            with pytest.raises(TransientError, match=r"127\.0\.0\.1:1") as away:
                await asking
            one_line(away.value)
    assert caplog.records == []


async def test_a_port_without_a_kafka_is_reported() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        async with cluster_at(f"{host}:{port}") as cluster:
            with pytest.raises(TransientError, match=str(port)) as away:
                await cluster.partitions(["t"])
            one_line(away.value)


async def test_reading_and_writing_continue_after_a_kill_and_restart(
    jars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with DevKafka(tmp_path, jars) as node:
        topic = await make_topic(node.address, 2)
        tp, out = TP(topic, 0), TP(topic, 1)
        await produce(node.address, tp, [b"%d" % n for n in range(100)])
        async with cluster_at(node.address) as cluster:
            member = Member(cluster.consumer([topic]))
            await member.start()
            member.go((tp, 0))
            batches = await member.take(tp, 50, most=50)
            writer = cluster.writer("w")
            await writer.start()
            await writer.commit([OutputRecord(topic, 1, None, b"before")], {tp: 50})

            monkeypatch.setattr("streams.kafka.consumer._SILENT_S", 3.0)
            monkeypatch.setattr("streams.kafka.metadata.queries._ASK_S", 3.0)
            node.kill()
            async with deadline("that no fetch is answered"):
                with pytest.raises(TransientError) as away:
                    await take_for_ever(member, tp, batches)
            assert node.address in one_line(away.value)
            with pytest.raises(TransientError) as away:
                await cluster.ends([tp])
            assert node.address in one_line(away.value)
            committing = asyncio.create_task(writer.commit([OutputRecord(topic, 1, None, b"while away")], {tp: 60}))
            await asyncio.sleep(1)
            node.start()
            monkeypatch.undo()  # a broker on a busy machine needs longer to answer

            # Committed once or not at all; the same member continues at its position.
            outcome = (await asyncio.gather(committing, return_exceptions=True))[0]
            assert isinstance(outcome, int | TransientError | Fenced)
            await writer.stop()
            again = cluster.writer("w")
            await again.start()
            await again.commit([OutputRecord(topic, 1, None, b"after")], {tp: 70})
            await produce(node.address, tp, [b"%d" % n for n in range(100, 200)])
            async with deadline("all 200 records"):
                while sum(map(len, batches)) < 200:
                    try:
                        batches += (await member.consumer.poll([tp], 0.2, 1000)).values()
                    except TransientError:
                        continue
            assert_seamless(batches, 0)
            assert values(batches) == [b"%d" % n for n in range(200)]
            written = [
                value
                async for batch in cluster.read(out, 0, (await cluster.ends([out]))[out])
                for value in batch.values
            ]
            if isinstance(outcome, int):
                assert written[:2] == [b"before", b"while away"]
            else:
                assert written[0] == b"before"
                assert written.count(b"while away") <= 1
    assert caplog.records == []


async def test_a_frozen_broker_times_out_and_is_used_again_afterwards(
    jars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with DevKafka(tmp_path, jars) as node:
        topic = await make_topic(node.address)
        tp = TP(topic, 0)
        async with cluster_at(node.address) as cluster:
            writer = cluster.writer("w")
            await writer.start()
            await writer.commit([OutputRecord(topic, 0, None, b"before")], {tp: 1})
            monkeypatch.setattr("streams.kafka.produce.transactional_writer._COMMIT_S", 3.0)
            monkeypatch.setattr("streams.kafka.produce.transactional_writer._START_S", 3.0)
            monkeypatch.setattr("streams.kafka.produce.transactional_writer._STOP_S", 0.5)
            monkeypatch.setattr("streams.kafka.metadata.queries._ASK_S", 3.0)
            monkeypatch.setattr("streams.kafka.clients._PROBE_MS", 1000)
            node.pause()
            for asking in (writer.commit([OutputRecord(topic, 0, None, b"frozen")], {tp: 2}), cluster.ends([tp])):
                with pytest.raises(TransientError) as away:
                    await asking
                one_line(away.value)
            await writer.stop()
            other = cluster.writer("w")
            with pytest.raises(TransientError) as away:
                await other.start()
            one_line(away.value)
            await other.stop()
            node.resume()
            monkeypatch.undo()  # a broker on a busy machine needs longer to answer
            last = cluster.writer("w")
            async with deadline("that the broker thaws"):
                while True:
                    try:
                        await last.start()
                        break
                    except TransientError:
                        await last.stop()
                        last = cluster.writer("w")
            await last.commit([OutputRecord(topic, 0, None, b"after")], {tp: 3})
            written: list[bytes | None] = []
            async with deadline("the last record"):
                while b"after" not in written:  # its marker may not be written yet
                    end = (await cluster.ends([tp]))[tp]
                    written = [value async for batch in cluster.read(tp, 0, end) for value in batch.values]
            assert written == [b"before", b"after"]
    assert caplog.records == []


async def test_a_transaction_past_its_timeout_is_fenced_not_committed(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.kafka.produce.transactional_writer._TRANSACTION_MS", 1000)
    tp = TP(await make_topic(address), 0)
    async with cluster_at(address) as cluster:
        writer = cluster.writer(tp.topic)
        await writer.start()
        producer = writer._producer
        assert producer is not None
        end = producer.commit_transaction

        async def late() -> None:
            # The coordinator checks for such transactions every ten seconds, and then writes a marker.
            await end_reaches(cluster, tp, 2)
            await end()

        monkeypatch.setattr(producer, "commit_transaction", late)
        with pytest.raises(Fenced):
            await writer.commit([OutputRecord(tp.topic, 0, None, b"late")], {})
        assert [value async for b in cluster.read(tp, 0, (await cluster.ends([tp]))[tp]) for value in b.values] == []
