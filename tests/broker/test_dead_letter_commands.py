"""Dead letters on a real Kafka: they are listed, and written back once."""

import contextlib
import json

import pytest
from broker_clusters import cluster_at
from command_world import PARTITIONS, World

from monitor.partition.partitioner import partition_of
from streams.console.cluster_reports import ClusterReports
from streams.kafka.api import Fenced
from streams.kafka.outputs import OutputRecord
from streams.kafka.topic_names import TopicNames
from streams.ops.control_client import open_operator_writer
from streams.ops.dead_letters import read, retry, return_partition
from streams.settings.load import load as load_settings

pytestmark = pytest.mark.services


@pytest.fixture
async def world(address: str) -> World:
    made = World(address)
    await made.make()
    return made


async def test_dead_letters_are_listed_and_written_back_once(world: World) -> None:
    letters = [
        (b"acme", b'{"caller":"+8613812345678"}', "wrong_key: it is 'other'", "cdr", 0, 7),
        (None, b"\x1b[2J{", "json: no record", "reviews", 1, 3),
        (b"acme", b"{}", "json: no record", "elsewhere\x1b[2J", 0, 1),
    ]
    async with world.producer() as producer:
        for key, value, reason, name, number, offset in letters:
            headers = {"reason": reason, "topic": world.prefix + name, "partition": number, "offset": offset}
            stamped = [(header, str(text).encode()) for header, text in headers.items()]
            await producer.send_and_wait(world.prefix + "dead-letter", value, key, partition=1, headers=stamped)
    listed = world.run("dead-letter", "list")
    assert f"{world.prefix}cdr-0-7\n    wrong_key: it is 'other'" in listed
    assert "13812345678" not in listed
    assert "•78" in listed
    assert "\x1b" not in listed
    assert f"{world.prefix}elsewhere\\x1b[2J-0-1" in listed
    listed = json.loads(world.run("dead-letter", "list", "--topic", world.prefix + "reviews", "--json"))
    (printed,) = listed["dead_letters"]
    assert (printed["id"], printed["offset"], printed["retried"]) == ("1-1", 3, False)
    assert len(json.loads(world.run("dead-letter", "list", "--limit", "1", "--json"))["dead_letters"]) == 1

    world.run("dead-letter", "retry", status=2)
    world.run("dead-letter", "retry", "--all", status=1)  # no terminal to confirm
    assert await world.records("reviews", 1) == []
    said = world.run("dead-letter", "retry", "--all", "--yes")
    assert "1-2: skipped" in said
    assert "2 written back" in said
    home = partition_of(b"acme", PARTITIONS, "murmur2")
    (back,) = await world.records("cdr", home, 1)
    assert (back.key, back.value) == letters[0][:2]
    assert back.headers == (("retried-from", f"{world.prefix}dead-letter-1-0".encode()),)
    (keyless,) = await world.records("reviews", 1, 1)
    assert (keyless.key, keyless.value) == letters[1][:2]

    said = world.run("dead-letter", "retry", "1-0", "--yes")
    assert "skipped, retried before: 1-0" in said
    assert "nothing to retry" in said
    assert "(retried)" in world.run("dead-letter", "list", "--topic", world.prefix + "cdr")
    assert "1-0, which was retried before" in world.run("dead-letter", "retry", "1-0", "--again", "--yes")
    assert len(await world.records("cdr", home, 2)) == 2
    assert "0-99" in world.run("dead-letter", "retry", "0-99", "--yes", status=2)


async def test_a_letter_of_another_program_hides_no_other(world: World) -> None:
    """Its headers may say anything: Python reads no number of 5,000 digits."""
    strange = [("topic", (world.prefix + "cdr").encode()), ("partition", b"9" * 5_000), ("offset", b"9" * 5_000)]
    ours = [
        ("reason", b"json: no record"),
        ("topic", (world.prefix + "cdr").encode()),
        ("partition", b"1"),
        ("offset", b"7"),
    ]
    async with world.producer() as producer:
        for headers in (strange, ours):
            await producer.send_and_wait(world.prefix + "dead-letter", b"{", partition=1, headers=headers)
    assert "1-1  " in world.run("dead-letter", "list")
    said = world.run("dead-letter", "retry", "--all", "--yes")
    assert "1-0: skipped" in said
    assert "1 written back" in said


async def test_of_two_retries_of_the_same_dead_letter_one_is_written(world: World) -> None:
    names = TopicNames(world.prefix, world.prefix)
    headers = [
        ("reason", b"json: no record"),
        ("topic", names.inputs[0].encode()),
        ("partition", b"1"),
        ("offset", b"7"),
    ]
    async with world.producer() as producer:
        await producer.send_and_wait(names.output("dead-letter"), b"{", partition=1, headers=headers)
    application = world.prefix.rstrip(".")
    async with cluster_at(world.address) as one, cluster_at(world.address) as other:
        # Both have read the letter, and wait for confirmation.
        seen = [(await read(cluster, names, lambda letter: True))[0] for cluster in (one, other)]
        home = return_partition(PARTITIONS, "murmur2")
        assert [letter.id for letter in seen[0]] == ["1-0"]
        assert await retry(one, names, application, seen[0], home) == seen[0]
        assert await retry(other, names, application, seen[1], home) == []
        assert len(await world.records("cdr", 1)) == 1
        assert await retry(other, names, application, seen[1], home, again=True) == seen[1]
        assert len(await world.records("cdr", 1, 2)) == 2

        # An operator whose retry is overtaken by another one notices it and writes nothing.
        async with contextlib.AsyncExitStack() as slow:
            writer = await slow.enter_async_context(open_operator_writer(one, application))
            assert await retry(other, names, application, seen[1], home) == []
            with pytest.raises(Fenced):
                await writer.commit([OutputRecord(names.inputs[0], 1, None, b"{")], {})
        assert len(await world.records("cdr", 1)) == 2


async def test_the_console_lists_dead_letters_and_writes_one_back(world: World) -> None:
    names = TopicNames(world.prefix, world.prefix)
    headers = [("reason", b"x"), ("topic", names.inputs[0].encode()), ("partition", b"1"), ("offset", b"7")]
    async with world.producer() as producer:
        for _ in range(3):
            await producer.send_and_wait(names.output("dead-letter"), b"{", partition=1, headers=headers)
    application = world.prefix.rstrip(".")
    settings = load_settings(
        {"input_prefix": world.prefix, "output_prefix": world.prefix, "application_id": application}
    )
    async with cluster_at(world.address) as cluster:
        reports = ClusterReports(cluster, settings)
        report = await reports.report()
        assert [letter.id for letter in report.letters] == ["1-2", "1-1", "1-0"]
        assert (report.waits.newest_ms, report.retried) == (None, set())
        assert [await reports.retry(each) for each in ("1-1", "1-1", "0-9")] == [True, False, False]
        assert (await reports.report()).retried == {"1-1"}
    assert len(await world.records("cdr", 1)) == 1
