"""The broker is killed after an operator's command is committed: the command is not reported as unsent."""

from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from typer.testing import CliRunner
from worker_traffic import make_topics

from streams.cli.app import build
from streams.dev.kafka_node import DevKafka
from streams.kafka.produce import transactional_writer as writer

pytestmark = pytest.mark.services

END_OUTAGE = ["end-outage", "--reason", "r", "--partition", "0", "--wait", "1", "--bootstrap"]


def test_a_broker_that_is_killed_after_the_commit_leaves_the_command_sent_and_unconfirmed(
    jars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = AIOKafkaProducer.commit_transaction
    monkeypatch.setattr(writer, "_STOP_S", 0.5)
    with DevKafka(tmp_path, jars) as node:
        make_topics({"CALLWARDEN_BOOTSTRAP_SERVERS": node.address})

        async def dying(producer: AIOKafkaProducer) -> None:
            await commit(producer)
            node.kill()

        monkeypatch.setattr(AIOKafkaProducer, "commit_transaction", dying)
        done = CliRunner().invoke(build("end-outage"), [*END_OUTAGE, node.address])
    assert done.exit_code == 1, done.output
    assert "sent, not confirmed: " in done.output
    assert "it is safe to run the same command again" in done.output
