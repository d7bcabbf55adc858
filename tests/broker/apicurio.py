"""A schema registry for tests: Apicurio on this machine, fetched by Maven as Kafka's jars are.

`python tests/broker/apicurio.py` only fetches it; `make tools` runs that.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Final

from streams.dev import kafka_jars
from streams.dev.kafka_node import free_ports
from streams.runtime.child_process import ChildProcess

# The newest that runs on Java 17.
VERSION: Final = "2.6.13.Final"
TOOLS: Final = Path(__file__).parents[2] / ".tools" / "apicurio"
_ARTIFACT: Final = f"io.apicurio:apicurio-registry-app:{VERSION}:tar.gz:all"
_START_S: Final = 180.0  # on a busy machine


def fetch(folder: Path = TOOLS) -> Path:
    """Apicurio's folder; fetches it by Maven if it is not there yet (150 MB). Raises `MissingJars`."""
    home = folder / VERSION
    if home.is_dir():
        return home
    maven = shutil.which("mvn")
    if maven is None:
        raise kafka_jars.MissingJars(f"Apicurio is not in {home}, and there is no `mvn` on PATH to fetch it")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        packed, new = Path(scratch) / "packed", Path(scratch) / "unpacked"
        command = [maven, "-q", "-B", "dependency:copy", f"-Dartifact={_ARTIFACT}", f"-DoutputDirectory={packed}"]
        done = subprocess.run(
            command, cwd=scratch, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        if done.returncode:
            reason = next((line for line in done.stdout.splitlines() if "ERROR" in line), "it gave no reason")
            raise kafka_jars.MissingJars(f"Maven could not fetch Apicurio {VERSION} into {home}: {reason}")
        (archive,) = packed.iterdir()
        with tarfile.open(archive) as tar:
            tar.extractall(new, filter="data")
        try:
            new.rename(home)
        except OSError:  # another process was faster
            if not home.is_dir():
                raise
    return home


class Apicurio:
    """One registry, its schemas in ``data``, so that they outlive its process. As a context manager it runs."""

    def __init__(self, home: Path, data: Path) -> None:
        self._jar = next(home.glob("apicurio-registry-app-*-runner.jar"))
        self._data = data
        (self._port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{self._port}/apis/ccompat/v7"
        self.log = data / "apicurio.log"
        self._process: ChildProcess | None = None

    def start(self) -> None:
        """Start it, and wait until it serves."""
        settings = ["-Dquarkus.http.host=127.0.0.1", f"-Dquarkus.http.port={self._port}"]
        environment = {**os.environ, "REGISTRY_DATASOURCE_URL": f"jdbc:h2:file:{self._data / 'schemas'};WRITE_DELAY=0"}
        with self.log.open("ab") as log:
            command = [kafka_jars.java(), "-Xmx256m", *settings, "-jar", str(self._jar)]
            self._process = ChildProcess(command, log, environment)
        until_s = time.monotonic() + _START_S
        while time.monotonic() < until_s and self._process.running:
            try:
                with urllib.request.urlopen(f"{self.url}/schemas/types", timeout=5):
                    return
            except OSError:
                time.sleep(0.1)
        self.kill()
        raise RuntimeError(f"Apicurio does not serve:\n{self.log.read_text()[-2_000:]}")

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def __enter__(self) -> "Apicurio":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


if __name__ == "__main__":
    try:
        print(f"Apicurio {VERSION} is in {fetch()}")
    except kafka_jars.MissingJars as missing:
        sys.exit(str(missing))
