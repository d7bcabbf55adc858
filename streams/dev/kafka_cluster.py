"""A real Apache Kafka cluster of several nodes on one machine, for development and tests."""

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

from streams.dev.kafka_node import HOST, START_S, STOP_S, ClusterMember, DevKafka, cluster_id, free_ports

_HEAP = "512m"
_LOOK_S = 0.5


class DevCluster:
    """``brokers`` nodes, each a broker and a controller. Their storage is in ``data``, or ``data/1``, ``data/2`` etc.

    Topics have three replicas (fewer with fewer nodes), and a write is acknowledged once all but one have it. ``port``
    is the first node's, the others have the following ones; 0 takes free ports. ``properties`` as in `DevKafka`. As a
    context manager it starts and stops the cluster.
    """

    def __init__(
        self, data: Path, jars: Path, brokers: int, *, port: int = 0, properties: Mapping[str, str] | None = None
    ) -> None:
        numbers = range(1, brokers + 1)
        controllers = {number: f"{HOST}:{free}" for number, free in zip(numbers, free_ports(brokers), strict=True)}
        own = cluster_id()
        self.nodes = {
            number: DevKafka(
                data / str(number) if brokers > 1 else data,
                jars,
                port=port + number - 1 if port else 0,
                properties=properties,
                member=ClusterMember(number, controllers, own, _HEAP),
            )
            for number in numbers
        }

    @property
    def address(self) -> str:
        """`bootstrap.servers`: all nodes."""
        return ",".join(node.address for node in self.nodes.values())

    def start(self, timeout_s: float = START_S) -> None:
        """Start all nodes that do not run, and wait until each serves. Raises `MissingJars` and `NodeFailed`."""
        starting = [node for node in self.nodes.values() if not node.running]
        try:
            for node in starting:
                node.launch()
            for node in starting:
                node.wait_until_it_serves(timeout_s)
        except BaseException:
            self.kill()
            raise

    def stop(self, timeout_s: float = STOP_S) -> None:
        """Stop all nodes, each by force after ``timeout_s``."""
        with ThreadPoolExecutor(len(self.nodes)) as threads:
            list(threads.map(lambda node: node.stop(timeout_s), self.nodes.values()))

    def kill(self) -> None:
        """Kill all nodes."""
        for node in self.nodes.values():
            node.kill()

    def wait(self) -> DevKafka:
        """Wait until one of the nodes ends by itself, and return it."""
        while True:
            for node in self.nodes.values():
                if not node.running:
                    return node
            time.sleep(_LOOK_S)

    def __enter__(self) -> "DevCluster":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
