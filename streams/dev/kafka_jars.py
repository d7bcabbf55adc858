"""The requirements of a development Kafka node: finds Java, and finds or fetches Apache Kafka's jars by Maven."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

VERSION = "4.4.0"
# Apache Kafka 4 runs on Java 17 and later.
OLDEST_JAVA = 17
# Where `make tools` and `callwarden dev-kafka` keep the jars, relative to the working directory.
FOLDER = Path(".tools") / "kafka"

_DEPENDENCIES = (
    ("org.apache.kafka", "kafka_2.13", VERSION),
    ("org.apache.kafka", "kafka-tools", VERSION),
    ("org.slf4j", "slf4j-simple", "1.7.36"),
)
_POM = """\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>callwarden</groupId>
  <artifactId>kafka-jars</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
{}
  </dependencies>
</project>
"""
_DEPENDENCY = "    <dependency><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version></dependency>"
_ON_DEBIAN = "on Debian and Ubuntu: apt-get install"


class MissingJars(Exception):
    """Something that the node needs is missing. The message says what, and how to get it."""


def java() -> str:
    """The `java` that runs Kafka, from JAVA_HOME, else from PATH. Raises `MissingJars` if it is missing or too old."""
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=str(Path(home) / "bin")) if home else None
    found = found or shutil.which("java")
    wanted = f"Kafka {VERSION} needs Java {OLDEST_JAVA} or newer; {_ON_DEBIAN} openjdk-17-jre-headless"
    if found is None:
        raise MissingJars(f"there is no `java` in JAVA_HOME or on PATH. {wanted}")
    printed = subprocess.run([found, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', printed)
    if version is None or int(version[1]) < OLDEST_JAVA:
        raise MissingJars(
            f"{found} is {printed.partition(chr(10))[0] or 'not a Java that tells its version'}. {wanted}"
        )
    return found


def present(folder: Path = FOLDER) -> Path | None:
    """The folder of the jars if they have been fetched into ``folder``, else None."""
    jars = folder / VERSION
    return jars if jars.is_dir() else None


def fetch(folder: Path = FOLDER) -> Path:
    """The folder of the jars; fetches them by Maven into ``folder`` if they are not there yet (60 MB).

    Raises `MissingJars` if Maven is missing or cannot fetch them.
    """
    return fetch_artifacts(folder / VERSION, _DEPENDENCIES, "Kafka", VERSION)


def fetch_artifacts(jars: Path, artifacts: Sequence[tuple[str, str, str]], product: str, version: str) -> Path:
    """Fetch these artifacts (group, name, version) and what they need into the folder ``jars``, unless it exists.

    Raises `MissingJars` if Maven is missing or cannot fetch them.
    """
    if jars.is_dir():
        return jars
    maven = shutil.which("mvn")
    if maven is None:
        raise MissingJars(
            f"{product}'s jars are not in {jars}, and there is no `mvn` on PATH to fetch them; {_ON_DEBIAN} maven"
        )
    jars.parent.mkdir(parents=True, exist_ok=True)
    # Renamed only when complete, so that an interrupted fetch, or two at a time, leave no incomplete folder.
    with tempfile.TemporaryDirectory(dir=jars.parent) as scratch:
        pom, new = Path(scratch) / "pom.xml", Path(scratch).absolute() / "jars"
        pom.write_text(_POM.format("\n".join(_DEPENDENCY.format(*each) for each in artifacts)), "utf-8")
        command = [maven, "-q", "-B", "-f", str(pom), "dependency:copy-dependencies", f"-DoutputDirectory={new}"]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode:
            reason = next((line for line in done.stdout.splitlines() if "ERROR" in line), "it gave no reason")
            raise MissingJars(f"Maven could not fetch {product} {version} into {jars}: {reason}")
        try:
            new.rename(jars)
        except OSError:
            if not jars.is_dir():
                raise
    return jars
