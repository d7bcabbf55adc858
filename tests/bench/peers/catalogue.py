"""The peers: how each is installed, and what runs it.

`make peers` installs all that can be, in `.tools/peers`; nothing else does. Each Python peer has an environment of its
own, with the version of Kafka's client that it asks for.
"""

import hashlib
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.workload import ROOT
from streams.dev import kafka_jars

FOLDER = ROOT / ".tools" / "peers"
_JAVA_SOURCE = Path(__file__).with_name("ShortCalls.java")
_ARTIFACTS = (
    ("org.apache.kafka", "kafka-streams", kafka_jars.VERSION),
    ("com.fasterxml.jackson.core", "jackson-databind", "2.21.7"),
    ("org.slf4j", "slf4j-simple", "1.7.36"),
)


class MissingPeerError(Exception):
    """A peer is not installed. The message says what is missing, and how to get it."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A framework with the rule in it.

    ``install`` makes it runnable in a folder; ``runner`` returns the start of its command line. Both raise
    `MissingPeerError`. ``changelogs`` are names of topics that must exist before it starts, without its application id.
    """

    name: str
    about: str
    arguments: tuple[str, ...]
    install: Callable[[Path], object]
    runner: Callable[[Path], tuple[str, ...]]
    environment: tuple[tuple[str, str], ...] = ()
    changelogs: tuple[str, ...] = ()


class _PythonPackage:
    """A package in a virtual environment of its own."""

    def __init__(self, requirement: str) -> None:
        self.requirement = requirement

    def install(self, folder: Path) -> None:
        """Install it, unless it is."""
        home, stamp = self._home(folder), self._stamp(folder)
        if stamp.exists():
            return
        venv.create(home, with_pip=True, clear=True)
        pip = [str(home / "bin" / "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        done = subprocess.run([*pip, self.requirement], stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            reason = done.stderr.strip().rpartition("\n")[2] or "pip gave no reason"
            raise MissingPeerError(f"pip could not install {self.requirement}: {reason}")
        stamp.touch()

    def runner(self, folder: Path) -> tuple[str, ...]:
        """Its interpreter."""
        if not self._stamp(folder).exists():
            raise MissingPeerError(f"{self.requirement} is not in {folder}; `make peers` installs it")
        return str(self._home(folder) / "bin" / "python"), "-P", "-m"

    def _home(self, folder: Path) -> Path:
        return folder / self.requirement.replace("==", "-")

    def _stamp(self, folder: Path) -> Path:
        return self._home(folder) / ".installed"


def _install_java(folder: Path) -> None:
    """Fetch the jars by Maven, and compile the application, each unless it is there."""
    try:
        kafka_jars.java()
        kafka_jars.fetch_artifacts(_jars(folder), _ARTIFACTS, "Kafka Streams", kafka_jars.VERSION)
    except kafka_jars.MissingJars as error:
        raise MissingPeerError(str(error)) from None
    javac = shutil.which("javac")
    if javac is None:
        raise MissingPeerError(
            "there is no `javac` on PATH; on Debian and Ubuntu: apt-get install openjdk-17-jdk-headless"
        )
    command = [javac, "-cp", f"{_jars(folder)}/*", "-d", str(_classes(folder)), str(_JAVA_SOURCE)]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise MissingPeerError(f"{_JAVA_SOURCE} was not compiled: {done.stderr}")


def _java_runner(folder: Path) -> tuple[str, ...]:
    classes = _classes(folder)
    if not (classes / f"{_JAVA_SOURCE.stem}.class").exists():
        raise MissingPeerError(f"Kafka Streams {kafka_jars.VERSION} is not in {folder}; `make peers` installs it")
    try:
        java = kafka_jars.java()
    except kafka_jars.MissingJars as error:
        raise MissingPeerError(str(error)) from None
    quiet = "-Dorg.slf4j.simpleLogger.defaultLogLevel=error"
    return java, quiet, "-cp", f"{_jars(folder)}/*:{classes}"


def _jars(folder: Path) -> Path:
    return folder / f"kafka-streams-{kafka_jars.VERSION}"


def _classes(folder: Path) -> Path:
    """The folder of what is compiled from this version of the source."""
    return folder / f"classes-{hashlib.sha256(_JAVA_SOURCE.read_bytes()).hexdigest()[:12]}"


def _already(_: Path) -> None:
    """It is a dependency of Callwarden."""


def _this_python(_: Path) -> tuple[str, ...]:
    return sys.executable, "-P", "-m"


def _faust(windows: str, about: str) -> Peer:
    return Peer(
        f"Faust, {windows} windows",
        about,
        ("bench.peers.faust_app", "worker", "--without-web", "-l", "error"),
        _already,
        _this_python,
        (("BENCH_WINDOWS", windows),),
        ("answered-changelog", "short-changelog"),
    )


_QUIX, _BYTEWAX = _PythonPackage("quixstreams==3.28.1"), _PythonPackage("bytewax[kafka]==0.21.1")
PEERS = (
    Peer("Kafka Streams", "the DSL's hopping windows, in RocksDB", ("ShortCalls",), _install_java, _java_runner),
    Peer("Quix Streams", "hopping windows, in RocksDB", ("bench.peers.quix_app",), _QUIX.install, _QUIX.runner),
    Peer(
        "Bytewax",
        "sliding windows, in memory",
        ("bytewax.run", "bench.peers.bytewax_app:flow"),
        _BYTEWAX.install,
        _BYTEWAX.runner,
    ),
    _faust("tumbling", "tables in tumbling windows of 4 h, which are less than the rule needs"),
    _faust("hopping", "tables in the rule's own windows"),
)


def main() -> int:
    """Install all peers; name those that cannot be."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    missing = 0
    for peer in PEERS:
        try:
            peer.install(FOLDER)
            print(f"{peer.name}: installed")
        except MissingPeerError as error:
            missing += 1
            print(f"{peer.name}: {error}", file=sys.stderr)
    return int(missing > 0)


if __name__ == "__main__":
    sys.exit(main())
