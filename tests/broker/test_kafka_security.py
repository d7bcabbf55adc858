"""TLS, SCRAM and PLAIN on a real broker, and the errors of clients with wrong credentials."""

import asyncio
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.admin import CreateAclsRequest
from broker_clusters import Member, cluster_at, end_reaches, make_topic, produce, values
from worker_processes import fleet_of
from worker_traffic import make_topics

from helpers.patience import PATIENCE_S
from streams.dev.kafka_node import DevKafka
from streams.kafka.api import TP, PermanentError, TransientError
from streams.kafka.outputs import OutputRecord
from streams.kafka.topic_names import TopicNames, require_topics
from streams.kafka.write_rights import WriteRights
from streams.settings.load import SettingsError, load

pytestmark = pytest.mark.services


@dataclass(frozen=True)
class Guarded:
    """A node with a listener for SCRAM over TLS, one for client certificates, and two for PLAIN."""

    node: DevKafka
    folder: Path

    def scram(self, **changed: object) -> dict[str, Any]:
        settings = {
            "bootstrap_servers": self.node.addresses["SECURE"],
            "security": "SASL_SSL",
            "ssl_ca_file": str(self.folder / "ca.pem"),
            "sasl_user": "warden",
            "sasl_password": "correct horse",
        }
        return {name: value for name, value in (settings | changed).items() if value is not None}

    def plain(self, **changed: object) -> dict[str, Any]:
        settings = self.scram(sasl_mechanism="PLAIN", bootstrap_servers=self.node.addresses["WORDS"])
        return {name: value for name, value in (settings | changed).items() if value is not None}

    def mutual(self, certificate: str | None) -> dict[str, Any]:
        settings: dict[str, object] = {
            "bootstrap_servers": self.node.addresses["MUTUAL"],
            "security": "SSL",
            "ssl_ca_file": str(self.folder / "ca.pem"),
        }
        if certificate is not None:
            settings["ssl_cert_file"] = str(self.folder / f"{certificate}.pem")
            settings["ssl_key_file"] = str(self.folder / f"{certificate}.key")
        return settings


def openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def certify(folder: Path) -> None:
    """Create a CA, its certificates for the server and a client, and a certificate of an unknown CA."""
    for name in ("ca", "stranger"):
        openssl(
            *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}"),
            *("-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem"),
        )
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1")
    for name in ("server", "client"):
        openssl(
            *("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}"),
            *("-keyout", folder / f"{name}.key", "-out", folder / f"{name}.csr"),
        )
        openssl(
            *("x509", "-req", "-in", folder / f"{name}.csr", "-CA", folder / "ca.pem", "-CAkey", folder / "ca.key"),
            *("-CAcreateserial", "-days", "2", "-extfile", folder / "names", "-out", folder / f"{name}.pem"),
        )
    both = (folder / "server.key").read_text() + (folder / "server.pem").read_text()
    (folder / "server-store.pem").write_text(both)


@pytest.fixture(scope="module")
def guarded(jars: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("certificates")
    certify(folder)
    properties = {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(folder / "server-store.pem"),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(folder / "ca.pem"),
        "listener.name.mutual.ssl.client.auth": "required",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS;User:warden;User:CN=client",
    }
    for name in ("words", "clear"):
        properties[f"listener.name.{name}.sasl.enabled.mechanisms"] = "PLAIN"
        properties[f"listener.name.{name}.plain.sasl.jaas.config"] = (
            'org.apache.kafka.common.security.plain.PlainLoginModule required user_warden="correct horse";'
        )
    with DevKafka(
        tmp_path_factory.mktemp("guarded"),
        jars,
        listeners={"SECURE": "SASL_SSL", "MUTUAL": "SSL", "WORDS": "SASL_SSL", "CLEAR": "SASL_PLAINTEXT"},
        properties=properties,
        scram={"warden": "correct horse", "stranger": "let me in"},
    ) as node:
        yield Guarded(node, folder)


async def test_scram_over_tls_reads_writes_and_makes_topics(guarded: Guarded) -> None:
    topic = await make_topic(guarded.node.address)
    tp = TP(topic, 0)
    async with cluster_at("", **guarded.scram()) as cluster:
        writer = cluster.writer(topic)
        await writer.start()
        await writer.commit([OutputRecord(topic, 0, b"k", b"v")], {tp: 0})
        await end_reaches(cluster, tp, 2)
        assert [value async for batch in cluster.read(tp, 0, 2) for value in batch.values] == [b"v"]
        member = Member(cluster.consumer([topic]))
        await member.start()
        member.go((tp, 0))
        assert values(await member.take(tp, 1)) == [b"v"]
    environment = os.environ | {f"CALLWARDEN_{name.upper()}": str(value) for name, value in guarded.scram().items()}
    done = subprocess.run(
        [Path(sys.executable).parent / "callwarden", "topics", "create", "--replication-factor", "1"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "correct horse" not in done.stdout + done.stderr


async def test_plain_logs_in_over_tls_and_in_clear_once_that_is_asked_for(guarded: Guarded) -> None:
    topic = await make_topic(guarded.node.address)
    clear = guarded.plain(
        bootstrap_servers=guarded.node.addresses["CLEAR"], security="SASL_PLAINTEXT", ssl_ca_file=None
    )
    with pytest.raises(SettingsError, match="PLAIN without TLS sends the password in clear"):
        load(clear)
    for settings in (guarded.plain(), clear | {"sasl_plain_in_clear": "yes"}):
        async with cluster_at("", **settings) as cluster:
            writer = cluster.writer(topic)
            await writer.start()
            await writer.commit([OutputRecord(topic, 0, b"k", b"v")], {})
            await writer.stop()
            assert await cluster.partitions([topic]) == {topic: 1}
    async with cluster_at("", **guarded.plain(sasl_password="wrong battery")) as cluster:
        with pytest.raises(PermanentError, match="the login was refused"):
            await cluster.partitions([topic])


async def test_a_worker_works_over_scram_and_tls(guarded: Guarded, tmp_path: Path) -> None:
    own = uuid.uuid4().hex[:8]
    names = TopicNames(f"{own}.in.", f"{own}.out.")
    settings = guarded.scram(input_prefix=names.input_prefix, output_prefix=names.output_prefix, application_id=own)
    variables = {f"CALLWARDEN_{name.upper()}": str(value) for name, value in settings.items()}
    await asyncio.to_thread(make_topics, variables)
    with fleet_of(tmp_path, variables) as fleet:
        worker = fleet.add()
        await asyncio.to_thread(fleet.settle)
        await produce(guarded.node.address, TP(names.inputs[0], 3), [b"{"])
        letters = TP(names.output("dead-letter"), 3)
        async with cluster_at("", **guarded.scram()) as cluster:
            await end_reaches(cluster, letters, 2)
            assert [value async for batch in cluster.read(letters, 0, 2) for value in batch.values] == [b"{"]
        assert await asyncio.to_thread(worker.terminate) == 0
        assert "correct horse" not in worker.log.read_text("utf-8")


async def test_a_topic_that_the_user_may_not_see_is_not_just_called_missing(guarded: Guarded) -> None:
    topic = await make_topic(guarded.node.address)
    async with cluster_at("", **guarded.scram(sasl_user="stranger", sasl_password="let me in")) as cluster:
        with pytest.raises(PermanentError, match="Kafka's ACLs hide it: allow the user of this program Describe on it"):
            require_topics(await cluster.partitions([topic]), [topic])


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"sasl_password": "wrong battery"}, "the login was refused"),
        ({"sasl_user": "nobody"}, "the login was refused"),
        ({"sasl_mechanism": "SCRAM-SHA-256"}, "the login was refused"),
        ({"ssl_ca_file": None}, "the server's certificate is not trusted"),
    ],
    ids=["password", "user", "mechanism", "certificate"],
)
async def test_a_refused_client_gets_the_reason_in_one_line(
    guarded: Guarded, changed: dict[str, object], says: str
) -> None:
    async with cluster_at("", **guarded.scram(**changed)) as cluster:
        for asking in (
            cluster.partitions(["t"]),
            cluster.writer("w").start(),
            Member(cluster.consumer(["t"])).start(),
            anext(cluster.read(TP("t", 0), 0, 1)),
        ):
            with pytest.raises(PermanentError, match=says) as refused:
                await asking
            assert len(str(refused.value).splitlines()) == 1
            assert "wrong battery" not in str(refused.value)


async def test_our_certificate_is_accepted_and_others_are_not(guarded: Guarded) -> None:
    topic = await make_topic(guarded.node.address)
    async with cluster_at("", **guarded.mutual("client")) as cluster:
        assert await cluster.partitions([topic]) == {topic: 1}
        writer = cluster.writer(topic)
        await writer.start()
        await writer.commit([OutputRecord(topic, 0, None, b"v")], {})
    for certificate in (None, "stranger"):
        async with cluster_at("", **guarded.mutual(certificate)) as cluster:
            with pytest.raises((PermanentError, TransientError)) as refused:
                await cluster.partitions([topic])
            assert len(str(refused.value).splitlines()) == 1


async def test_a_client_without_permissions_is_told_which_are_missing(guarded: Guarded) -> None:
    topic = await make_topic(guarded.node.address)
    async with cluster_at("", **guarded.scram(sasl_user="stranger", sasl_password="let me in")) as cluster:
        with pytest.raises(PermanentError, match=f"no permission to see it: {topic}"):
            await Member(cluster.consumer([topic])).start()
        with pytest.raises(PermanentError, match=f"starting writer {topic}: not allowed: Transactional Id"):
            await cluster.writer(topic).start()


async def allow(address: str, user: str, operation: int, topic: str) -> None:
    """As `kafka-acls --add --allow-principal`."""
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    try:
        topics, literal, allowed = 2, 3, 3
        request = CreateAclsRequest(topics, topic, literal, f"User:{user}", "*", operation, allowed)
        [(error, message)] = (await admin._send_request(request)).creation_responses
        assert not error, message
    finally:
        await admin.close()


async def test_the_topics_that_may_not_be_written_are_known_before_a_write(guarded: Guarded, address: str) -> None:
    write, describe = 4, 8
    topic, other = await make_topic(guarded.node.address), await make_topic(guarded.node.address)
    for each in (topic, other):
        await allow(guarded.node.address, "stranger", describe, each)
    await allow(guarded.node.address, "stranger", write, other)
    async with cluster_at("", **guarded.scram(sasl_user="stranger", sasl_password="let me in")) as cluster:
        rights = WriteRights(cluster, [topic, other, "hidden"])
        await rights.look()
        assert rights.missing is not None
        assert f"do not allow writing to {topic}:" in rights.missing
        await allow(guarded.node.address, "stranger", write, topic)
        async with asyncio.timeout(PATIENCE_S):
            while rights.missing is not None:  # the node learns of it in a moment
                await rights.look()
    async with cluster_at(address) as unguarded:
        assert await unguarded.not_writable([await make_topic(address), "missing"]) == []


async def test_a_client_without_tls_on_a_tls_port_does_not_wait(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.kafka.clients._PROBE_MS", 60_000)
    monkeypatch.setattr("streams.kafka.metadata.queries.REQUEST_MS", 2000)
    async with cluster_at(guarded.node.addresses["SECURE"]) as cluster:
        with pytest.raises(TransientError, match=r"does that port speak PLAINTEXT \(CALLWARDEN_SECURITY\)\?$"):
            await cluster.partitions(["t"])
