"""A real Apache Kafka node for development and tests: KRaft, 127.0.0.1, no Docker."""

import base64
import re
import signal
import socket
import struct
import subprocess
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

from monitor.text.private_files import make_folder
from streams.dev import kafka_jars as kafkajars
from streams.runtime.child_process import ChildProcess

HOST = "127.0.0.1"
START_S = 300.0  # a node that ends is reported at once; on a busy machine its start takes minutes
STOP_S = 30.0
# Properties of nodes on one machine, unlike in a data centre; groups form at once.
_PROPERTIES = {
    "process.roles": "broker,controller",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "auto.create.topics.enable": "false",
    "offsets.topic.num.partitions": "8",
    "transaction.state.log.num.partitions": "8",
    "group.initial.rebalance.delay.ms": "0",
    # After kill -9 a node waits for the end of its former session before it serves again.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
}
_REPLICATION = (
    "default.replication.factor",
    "offsets.topic.replication.factor",
    "transaction.state.log.replication.factor",
    "share.coordinator.state.topic.replication.factor",
)
_IN_SYNC = ("min.insync.replicas", "transaction.state.log.min.isr", "share.coordinator.state.topic.min.isr")
_SCRAM = {
    "sasl.enabled.mechanisms": "SCRAM-SHA-512",
    "{}.scram-sha-512.sasl.jaas.config": "org.apache.kafka.common.security.scram.ScramLoginModule required;",
}
_FAULT = re.compile(r"\] ERROR |^[^\[\s].*(?:Exception|Error): ")
# A `Metadata` request, version 0, for all topics: a node whose response names brokers serves.
_METADATA = struct.pack(">hhih", 3, 0, 1, -1) + struct.pack(">i", 0)


class NodeFailed(Exception):
    """The node failed to start. The message has the last lines of its log."""


@dataclass(frozen=True)
class ClusterMember:
    """A node's place in its cluster.

    ``controllers`` are the addresses of all nodes' controllers by node id: the voters of the quorum. ``cluster_id``
    is written when the storage is new. ``heap`` is the JVM's limit, as ``-Xmx`` takes it.
    """

    node_id: int
    controllers: Mapping[int, str]
    cluster_id: str
    heap: str = "768m"

    def properties(self) -> dict[str, str]:
        """The properties that depend on the number of nodes: at most 3 replicas; writes need all of them but one."""
        replicas = min(len(self.controllers), 3)
        return {
            "node.id": str(self.node_id),
            "controller.quorum.voters": ",".join(f"{number}@{at}" for number, at in self.controllers.items()),
            **dict.fromkeys(_REPLICATION, str(replicas)),
            **dict.fromkeys(_IN_SYNC, str(max(replicas - 1, 1))),
        }


class DevKafka:
    """One Kafka node, its storage in ``data``, on fixed ports of 127.0.0.1.

    ``port`` 0 takes a free port and keeps it over restarts. ``listeners`` are further listeners by name, with their
    security protocol (``{"SECURE": "SASL_SSL"}``); `addresses` has their addresses. ``properties`` are added to
    `server.properties` and override everything else. ``scram`` are users with their passwords for SCRAM-SHA-512, the
    mechanism of all `SASL_` listeners; they are written when the storage is new. ``member`` is its place in a cluster
    of several nodes; None: it is a cluster by itself.

    The node's output goes to ``data/kafka.log``. It does not outlive the process that started it, however that ends.
    As a context manager it starts and stops the node.
    """

    def __init__(
        self,
        data: Path,
        jars: Path,
        *,
        port: int = 0,
        listeners: Mapping[str, str] | None = None,
        properties: Mapping[str, str] | None = None,
        scram: Mapping[str, str] | None = None,
        member: ClusterMember | None = None,
    ) -> None:
        self.data, self._jars = data, jars
        self._protocols = {"PLAINTEXT": "PLAINTEXT", **(listeners or {})}
        self._properties, self._scram = dict(properties or {}), dict(scram or {})
        free = iter(free_ports(len(self._protocols) + 1))
        ports = {name: next(free) for name in self._protocols}
        ports["PLAINTEXT"] = port or ports["PLAINTEXT"]
        self._member = member or ClusterMember(1, {1: f"{HOST}:{next(free)}"}, cluster_id())
        self.addresses = {name: f"{HOST}:{port}" for name, port in ports.items()}
        self.log = data / "kafka.log"
        self._log_start = 0  # where in its log the newest start begins
        self._node: ChildProcess | None = None

    @property
    def address(self) -> str:
        """The address without encryption or login: `bootstrap.servers`."""
        return self.addresses["PLAINTEXT"]

    @property
    def running(self) -> bool:
        """Whether its process runs, paused or not."""
        return self._node is not None and self._node.running

    def start(self, timeout_s: float = START_S) -> None:
        """Start it on its existing storage, and wait until it serves. Raises `MissingJars` and `NodeFailed`."""
        if not self.running:
            self.launch()
            self.wait_until_it_serves(timeout_s)

    def launch(self) -> None:
        """Start its process without waiting: one of several nodes serves only once most run.

        Raises `MissingJars` and `NodeFailed`.
        """
        self.kill()  # cleans up after a process that ended by itself
        java = kafkajars.java()
        for address in self.addresses.values():
            _must_be_free(address)
        settings = self._write_settings()
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            if not (self.data / "storage" / "meta.properties").exists():
                self._format(java, settings, log)
            heap = [f"-Xmx{self._member.heap}", "-XX:+ExitOnOutOfMemoryError"]
            self._node = ChildProcess([java, *heap, *self._class_path(), "kafka.Kafka", settings], log)

    def wait_until_it_serves(self, timeout_s: float = START_S) -> None:
        """Wait until the launched node has joined its cluster; kill it on an error or a time-out. Raises NodeFailed."""
        try:
            self._wait(timeout_s)
        except BaseException:
            self.kill()
            raise

    def stop(self, timeout_s: float = STOP_S) -> None:
        """Stop it, by force after ``timeout_s``. Does nothing if it does not run."""
        if self._node is not None:
            self._node.stop(timeout_s)

    def kill(self) -> None:
        """Kill it (kill -9)."""
        if self._node is not None:
            self._node.kill()

    def pause(self) -> None:
        """Suspend it: connections stay open, nothing answers."""
        if self._node is not None:
            self._node.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Continue after `pause`."""
        if self._node is not None:
            self._node.signal(signal.SIGCONT)

    def wait(self) -> int:
        """Wait until its process ends by itself; returns its exit status."""
        if self._node is None:
            raise ValueError("the node was not started")
        return self._node.wait()

    def last_words(self, start: int = 0) -> str:
        """The last lines of its log from byte ``start`` on; only lines with errors if there are any."""
        with self.log.open("rb") as log:
            log.seek(start)
            lines = log.read().decode(errors="replace").splitlines()
        faults = [line for line in lines if _FAULT.search(line)]
        return "\n".join(faults[-5:] or lines[-5:])

    def __enter__(self) -> "DevKafka":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _class_path(self) -> tuple[str, str]:
        return "-cp", str(self._jars / "*")

    def _write_settings(self) -> str:
        make_folder(self.data)
        protocols = {**self._protocols, "CONTROLLER": "PLAINTEXT"}
        advertised = [f"{name}://{address}" for name, address in self.addresses.items()]
        settings = {
            **_PROPERTIES,
            **self._member.properties(),
            "log.dirs": str((self.data / "storage").absolute()),
            "listeners": ",".join([*advertised, f"CONTROLLER://{self._member.controllers[self._member.node_id]}"]),
            "advertised.listeners": ",".join(advertised),
            "listener.security.protocol.map": ",".join(f"{name}:{value}" for name, value in protocols.items()),
        }
        for name, protocol in self._protocols.items():
            if protocol.startswith("SASL_"):
                settings |= {key.format(f"listener.name.{name.lower()}"): value for key, value in _SCRAM.items()}
        settings |= self._properties
        path = self.data / "server.properties"
        path.write_text("".join(f"{name}={value}\n" for name, value in settings.items()), "utf-8")
        return str(path)

    def _format(self, java: str, settings: str, log: IO[bytes]) -> None:
        users = [f"SCRAM-SHA-512=[name={name},password={word}]" for name, word in self._scram.items()]
        command = [
            java,
            *self._class_path(),
            "kafka.tools.StorageTool",
            "format",
            "-t",
            self._member.cluster_id,
            "-c",
            settings,
        ]
        for user in users:
            command += ["--add-scram", user]
        if subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False).returncode:
            raise NodeFailed(f"Kafka's storage in {self.data} could not be made:\n{self.last_words()}")

    def _wait(self, timeout_s: float) -> None:
        until = time.monotonic() + timeout_s
        host, _, port = self.address.partition(":")
        # Check the process again after the answer, which another node could have given.
        said, own = self._log_start, self._member.node_id
        while own not in _brokers(host, int(port)) or not self.running:
            if not self.running:
                raise NodeFailed(f"Kafka ended while it started; {self.log} says:\n{self.last_words(said)}")
            if time.monotonic() > until:
                raise NodeFailed(
                    f"Kafka does not serve after {timeout_s:g} s; {self.log} says:\n{self.last_words(said)}"
                )
            time.sleep(0.1)


def cluster_id() -> str:
    """A new cluster id, kept in the storage. It shows billing, ledger and notifier that a cluster is another one."""
    while True:
        # In Kafka's format; its tools would take an id that begins with a dash for an option.
        made = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not made.startswith("-"):
            return made


def free_ports(count: int) -> list[int]:
    """Different free ports of 127.0.0.1."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind((HOST, 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def _must_be_free(address: str) -> None:
    """Raise `NodeFailed` if the address is in use: another Kafka there would be taken for this one."""
    host, _, port = address.partition(":")
    with socket.socket() as trial:
        # As Java does: closing connections of a former node do not block the address.
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, int(port)))
        except OSError as error:
            raise NodeFailed(f"Kafka cannot serve at {address}: {error.strerror}; expected a free port") from None


def _brokers(host: str, port: int) -> set[int]:
    """The ids of the cluster's brokers as the node there reports them; empty if there is no answer."""
    try:
        with socket.create_connection((host, port), timeout=2) as connection:
            connection.sendall(struct.pack(">i", len(_METADATA)) + _METADATA)
            (size,) = struct.unpack(">i", _receive(connection, 4))
            answer = _receive(connection, size)
    except (OSError, EOFError):
        return set()
    (count,) = struct.unpack_from(">i", answer, 4)  # after the correlation id
    found, at = set(), 8
    for _ in range(count):
        number, length = struct.unpack_from(">ih", answer, at)
        found.add(number)
        at += 4 + 2 + length + 4  # id, host, port
    return found


def _receive(connection: socket.socket, size: int) -> bytes:
    """Exactly ``size`` bytes. Raises EOFError if the connection ends before."""
    answer = b""
    while len(answer) < size:
        part = connection.recv(size - len(answer))
        if not part:
            raise EOFError
        answer += part
    return answer
