"""Java options for the nodes of tests, which run for seconds: such a node spends its CPU time on its own start."""

import fcntl
import hashlib
import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from streams.dev import kafka_jars as kafkajars
from streams.dev.kafka_node import DevKafka

# The launcher `java` reads it: it reaches the nodes that a command under test starts, too.
VARIABLE = "JDK_JAVA_OPTIONS"
# The optimising compiler would be at work until the node is stopped.
_QUICK = "-XX:TieredStopAtLevel=1"
_UNLOGGED = "-Xlog:cds=off,cds+dynamic=off"


@contextmanager
def short_lived_nodes(jars: Path) -> Iterator[None]:
    """Meanwhile nodes start with a quick compiler, and with the classes of ``jars`` from an archive.

    Java ignores an archive of another version or of other jars, and one that is not there.
    """
    archive = _archive(jars)
    with _options(_QUICK, f'-XX:SharedArchiveFile="{archive}"', _UNLOGGED):
        yield


def _archive(jars: Path) -> Path:
    """The archive of the classes that a node loads; the first that asks for it makes it beside the jars."""
    version = subprocess.run([kafkajars.java(), "-version"], capture_output=True, check=True).stderr
    archive = jars.with_name(f"{jars.name}-{hashlib.sha256(version).hexdigest()[:8]}.jsa")
    with archive.with_suffix(".lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not archive.exists():
            with tempfile.TemporaryDirectory(dir=jars.parent) as scratch:
                made = Path(scratch) / archive.name
                options = _options(_QUICK, f'-XX:ArchiveClassesAtExit="{made}"', _UNLOGGED)
                with options, DevKafka(Path(scratch) / "node", jars):
                    pass
                if made.exists():  # else the node had to be killed; the next run tries again
                    made.rename(archive)
    return archive


@contextmanager
def _options(*options: str) -> Iterator[None]:
    """Meanwhile each `java` that is started has these options, after those of the environment."""
    before = os.environ.get(VARIABLE)
    given: Sequence[str] = (before, *options) if before else options
    os.environ[VARIABLE] = " ".join(given)
    try:
        yield
    finally:
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before
