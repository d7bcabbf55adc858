"""The commands that fill the input topics and show the outputs, on a real broker."""

import asyncio
import os
import signal
import subprocess
import sys
import uuid
from collections import Counter
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from broker_clusters import create_topics
from deadlines import deadline, killed_when_late
from ruamel.yaml import YAML

from helpers.patience import PATIENCE_S
from monitor.decoding.input_topics import INPUTS
from monitor.partition.partitioner import partition_of
from schemas import codec
from schemas.outputs import Alert, Enforcement, EnforcementData, Evidence, PolicyRef, Reason

pytestmark = pytest.mark.services
PARTITIONS = 4


async def make_topics(address: str, *names: str) -> str:
    """Create topics of those names under a unique prefix; return the prefix."""
    prefix = f"{uuid.uuid4().hex}."
    await create_topics(address, [prefix + name for name in names], PARTITIONS)
    return prefix


def command(address: str, prefix: str, *arguments: str) -> AbstractContextManager[subprocess.Popen[str]]:
    environment = os.environ | {
        "CALLWARDEN_BOOTSTRAP_SERVERS": address,
        "CALLWARDEN_INPUT_PREFIX": prefix,
        "CALLWARDEN_OUTPUT_PREFIX": prefix,
        "PYTHONUNBUFFERED": "1",
    }
    process = subprocess.Popen(
        [str(Path(sys.executable).parent / "callwarden"), *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    return killed_when_late(process)


@pytest.mark.parametrize("service", ["traffic", "tail"])
async def test_the_services_of_compose_pass_its_health_checks(address: str, tmp_path: Path, service: str) -> None:
    described = YAML(typ="safe").load(Path(__file__).parents[2] / "docker-compose.yml")["services"][service]
    file = tmp_path / "alive"
    _, _, *look = (word.replace("/tmp/alive", str(file)) for word in described["healthcheck"]["test"])

    def healthy() -> bool:
        return subprocess.run([sys.executable, *look], capture_output=True, check=False).returncode == 0

    prefix = await make_topics(address, *INPUTS, "enforcement", "alerts")
    words = [word.replace("/tmp/alive", str(file)) for word in described["command"]]
    assert not healthy()
    with command(address, prefix, *words) as callwarden:
        for _ in range(2):  # it is touched repeatedly
            async with deadline(f"{service} is alive"):
                while not healthy():
                    await asyncio.sleep(0.1)
            os.utime(file, (0, 0))
        callwarden.send_signal(signal.SIGTERM)
        _, wrong = callwarden.communicate(timeout=PATIENCE_S)
    assert (callwarden.returncode, wrong) == (0, "")


def test_a_file_that_cannot_be_touched_is_refused_with_a_message(address: str, tmp_path: Path) -> None:
    with command(address, "no.", "tail", "--alive", str(tmp_path / "no" / "alive")) as callwarden:
        _, wrong = callwarden.communicate(timeout=PATIENCE_S)
    assert callwarden.returncode == 2
    assert "No such file or directory; expected a file that this user may write" in wrong


async def test_the_past_day_goes_to_the_topics_and_partitions_of_its_types_and_tenants(address: str) -> None:
    prefix = await make_topics(address, *INPUTS)
    with command(address, prefix, "traffic", "--no-live", "--rate", "0.05", "--seed", "11") as callwarden:
        said, wrong = callwarden.communicate(timeout=PATIENCE_S)
    assert (callwarden.returncode, wrong) == (0, "")
    with command(address, prefix, "traffic", "--no-live") as again:
        assert again.communicate(timeout=PATIENCE_S)[0].startswith("the topics already have calls")
    counts = Counter[str]()
    first_call_ms, last_other_ms = 1 << 62, 0
    async with AIOKafkaConsumer(bootstrap_servers=address, auto_offset_reset="earliest") as consumer:
        partitions = [TopicPartition(prefix + name, n) for name in INPUTS for n in range(PARTITIONS)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        async with deadline("all that was sent"):
            while any([await consumer.position(tp) < end for tp, end in ends.items()]):
                for tp, records in (await consumer.getmany(timeout_ms=1_000)).items():
                    name = tp.topic.removeprefix(prefix)
                    counts[name] += len(records)
                    for each in records:
                        record = codec.read(each.value)
                        kind = str(type(record).__struct_config__.tag)
                        assert name == {"cdr": "cdr", "application": "tenants"}.get(kind, f"{kind}s")
                        assert each.key == record.tenant_id.encode()
                        assert each.partition == partition_of(each.key, PARTITIONS, "murmur2")
                        if kind == "cdr":
                            first_call_ms = min(first_call_ms, each.timestamp)
                        else:
                            last_other_ms = max(last_other_ms, each.timestamp)
    assert last_other_ms <= first_call_ms
    assert counts["cdr"] > 1_000
    assert said == f"the past day is sent: {', '.join(f'{n:,} to {name}' for name, n in sorted(counts.items()))}\n"


async def test_simulated_records_are_mixed_with_others_only_on_request(address: str) -> None:
    prefix = await make_topics(address, *INPUTS)
    async with AIOKafkaProducer(bootstrap_servers=address) as producer:
        await producer.send_and_wait(f"{prefix}reviews", b"{}", key=b"acme")
    arguments = ["traffic", "--no-live", "--rate", "0.01"]
    with command(address, prefix, *arguments) as callwarden:
        said, wrong = callwarden.communicate(timeout=PATIENCE_S)
    assert (callwarden.returncode, said) == (2, "")
    assert f"{prefix}reviews: expected no records but simulated ones" in wrong
    with command(address, prefix, *arguments, "--yes") as callwarden:
        assert callwarden.communicate(timeout=PATIENCE_S)[0].startswith("the past day is sent: ")


async def test_a_missing_topic_is_not_waited_for(address: str) -> None:
    prefix = await make_topics(address, "cdr", "enforcement")
    for arguments, absent in ((["traffic"], INPUTS[1:]), (["tail"], ("alerts",))):
        with command(address, prefix, *arguments) as callwarden:
            said, wrong = callwarden.communicate(timeout=PATIENCE_S)
        assert (callwarden.returncode, said) == (2, "")
        named = ", ".join(prefix + name for name in absent)
        assert f"there is no topic {named}; `callwarden topics create` creates " in wrong


def test_a_broker_that_is_away_is_reported_in_one_line() -> None:
    for name in ("traffic", "tail"):
        with command("127.0.0.1:1", "x.", name) as callwarden:
            said, wrong = callwarden.communicate(timeout=PATIENCE_S)
        assert (callwarden.returncode, said) == (3, "")
        assert wrong.startswith(f"callwarden {name}: ")
        assert "127.0.0.1:1" in wrong
        assert wrong.count("\n") == 1


def decision(tenant: str, reason: str) -> bytes:
    data = EnforcementData(
        tenant_id=tenant, kind="termination", status="pending_review", behaviour="in_call_abuse", clause=5,
        tier="major", actions=(), proposed_actions=("terminate_service",), refunds="frozen", rule_id="in_call_abuse",
        policy=PolicyRef("p", "1", ""), decided_ms=1_767_225_600_000, review_by_ms=1_767_830_400_000, window=None,
        measure=None, evidence=Evidence(), violations_on_record=0, reverses=None, supersedes=None,
        reason=Reason(f"理由 {reason}", f"Reason {reason}"),
    )  # fmt: skip
    return msgspec.json.encode(Enforcement(id=tenant, subject=tenant, time="", data=data))


async def test_tail_shows_committed_records_and_no_number_in_clear(address: str) -> None:
    prefix = await make_topics(address, "enforcement", "alerts")
    enforcement = f"{prefix}enforcement"
    async with AIOKafkaProducer(bootstrap_servers=address, transactional_id=uuid.uuid4().hex) as producer:
        for tenant, committed in (("aborted", False), ("acme", True)):
            await producer.begin_transaction()
            await producer.send(enforcement, decision(tenant, "+8613812345678"), partition=0)
            await (producer.commit_transaction() if committed else producer.abort_transaction())
    sign = Alert(
        "a",
        "acme",
        "short-calls",
        "warning",
        "firing",
        None,
        1_767_225_600_000,
        1_767_225_601_000,
        None,
        Reason("短", "Short"),
    )
    with command(address, prefix, "tail", "--from-start") as callwarden:
        assert callwarden.stdout is not None
        assert callwarden.stderr is not None
        first = callwarden.stdout.readline()
        async with AIOKafkaProducer(bootstrap_servers=address) as producer:
            await producer.send_and_wait(enforcement, b"{}", partition=1)
            second = callwarden.stdout.readline()
            await producer.send_and_wait(f"{prefix}alerts", msgspec.json.encode(sign), partition=2)
            third = callwarden.stdout.readline()
        callwarden.send_signal(signal.SIGINT)
        assert callwarden.wait(PATIENCE_S) == 0
        assert callwarden.stderr.read() == ""
    assert first == (
        "01-01 00:00:00  acme  较重违规·终止服务（待复核） Major · Termination (pending review)  [in_call_abuse]"
        "  理由 +•••••••••••78 / Reason +•••••••••••78\n"
    )
    assert second.startswith(f"{enforcement}: a record that cannot be read: ")
    assert third == "01-01 00:00:01  acme  预警·警示 Alert · Warning  [short-calls]  短 / Short\n"


async def test_tail_goes_on_after_records_of_others_in_the_outputs(address: str) -> None:
    prefix = await make_topics(address, "enforcement", "alerts")
    far = msgspec.json.encode(
        Alert("a", "acme", "r", "info", "firing", None, 1_767_225_600_000, 10**17, None, Reason("短", "Short"))
    )
    others = b"\xff\xfe", b"[" * 100_000, far
    async with AIOKafkaProducer(bootstrap_servers=address) as producer:
        for other in others:
            await producer.send_and_wait(f"{prefix}alerts", other, partition=0)
    with command(address, prefix, "tail", "--from-start") as callwarden:
        assert callwarden.stdout is not None
        assert callwarden.stderr is not None
        for _ in others:
            assert callwarden.stdout.readline().startswith(f"{prefix}alerts: a record that cannot be read: ")
        callwarden.send_signal(signal.SIGINT)
        assert (callwarden.wait(PATIENCE_S), callwarden.stderr.read()) == (0, "")


async def test_tail_ends_without_a_traceback_when_its_reader_has_ended(address: str) -> None:
    prefix = await make_topics(address, "enforcement", "alerts")
    with command(address, prefix, "tail", "--from-start") as callwarden:
        assert callwarden.stdout is not None
        assert callwarden.stderr is not None
        callwarden.stdout.close()
        async with AIOKafkaProducer(bootstrap_servers=address) as producer:
            await producer.send_and_wait(f"{prefix}enforcement", decision("acme", ""), partition=1)
        assert (callwarden.wait(PATIENCE_S), callwarden.stderr.read()) == (1, "")
