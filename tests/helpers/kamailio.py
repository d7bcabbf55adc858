"""A real Kamailio with accounting in PostgreSQL, and SIPp for the calls, on 127.0.0.1, removed after the tests.

The proxy's configuration is the one of docs/reference/formats.md, within a minimal proxy.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

import psycopg
from psycopg.rows import dict_row

from helpers.patience import PATIENCE_S

FOLDER = Path(__file__).parent / "sip"
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "formats.md"
TABLES = Path("/usr/share/kamailio/postgres")
MODULES = "/usr/lib/*/kamailio/modules/db_postgres.so"
# The kernel's clock of whole seconds is up to a tick behind the precise one.
TICK_S = 0.05


def absent() -> str | None:
    """A sentence that names what is not installed; None if everything is."""
    programs = [name for name in ("kamailio", "sipp") if shutil.which(name, path=_path()) is None]
    if not programs and not list(Path("/").glob(MODULES[1:])):
        programs = ["kamailio-postgres-modules"]
    if not programs:
        return None
    packages = "kamailio kamailio-postgres-modules sip-tester"
    return f"no {' and no '.join(programs)}: on Debian and Ubuntu `apt-get install {packages}`"


def page_blocks(section: str, language: str) -> str:
    """The blocks to paste in a section of the page on formats; ``language`` follows the fence."""
    text = PAGE.read_text().partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return "\n".join(block for of, block in blocks if of == language)


class Call(NamedTuple):
    """A call to make: what its caller ``does``, and what its callee does as ``answer``, as in sip/*.xml."""

    name: str
    tenant: str
    caller: str
    callee: str
    answer: str = "answer"
    does: str = "hangup"
    talk_ms: int = 0
    header: str = "X-Note: none"


@dataclass(frozen=True)
class Seen:
    """The times of a call's events in epoch seconds, as its caller and callee observed them."""

    begin: float
    end: float | None = None
    final: float | None = None
    hangup: float | None = None
    gone: float | None = None


class Callee:
    """A SIPp that accepts calls on ``port`` until it is ended."""

    def __init__(self, folder: Path, name: str = "callee") -> None:
        self.port = free_port()
        self.log = folder / f"{name}.log"
        self._process = _sipp(folder, name, "callee.xml", self.port, "-aa")

    def __enter__(self) -> Self:
        _wait_for("SIPp to take calls", lambda: _taken(self.port), self._process)
        return self

    def __exit__(self, *_: object) -> None:
        _end(self._process)


class Caller:
    """A SIPp that makes calls through the proxy at ``proxy``, ``rate`` a second."""

    def __init__(self, folder: Path, name: str, proxy: int, calls: Sequence[tuple[Call, int]], rate: int = 30) -> None:
        self._folder, self._name = folder, name
        lines = [
            f"{c.name};{c.caller};{c.tenant};{c.callee};{port};{c.talk_ms};{c.answer};{c.does};{c.header}"
            for c, port in calls
        ]
        (folder / f"{name}.csv").write_text("\n".join(("SEQUENTIAL", *lines)) + "\n")
        limits = ("-m", str(len(calls)), "-l", str(len(calls)), "-r", str(rate))
        more = ("-inf", f"{name}.csv", *limits, "-cid_str", f"%u-{name}", f"127.0.0.1:{proxy}")
        self._call_ids = {call.name: f"{call.name}///{n}-{name}" for n, (call, _) in enumerate(calls, 1)}
        self.process = _sipp(folder, name, "caller.xml", free_port(), *more)

    @property
    def call_ids(self) -> dict[str, str]:
        """The Call-ID of each call, by the name of the call."""
        return self._call_ids

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        _end(self.process)

    def finish(self) -> None:
        """Wait until all calls are over. Raises if one did not follow its scenario."""
        status = self.process.wait(PATIENCE_S)
        if status:
            error = self._folder / f"{self._name}.err"
            raise AssertionError(f"SIPp ended with {status}: {error.read_text()[-3000:] if error.exists() else ''}")


def seen(*logs: Path) -> dict[str, Seen]:
    """The observations in SIPp's logs, by the name of the call."""
    times: dict[str, dict[str, float]] = {}
    for log in logs:
        for line in log.read_text().splitlines():
            name, what, seconds, micros = line.split()
            times.setdefault(name, {})[what] = float(seconds) + float(micros) / 1e6
    return {name: Seen(**of_call) for name, of_call in times.items()}


class Kamailio:
    """The proxy on ``port``, with accounting as in ``sections`` of the page, in the database at ``database``."""

    def __init__(self, folder: Path, database: str, *sections: str, zone: str = "UTC") -> None:
        self.port = free_port()
        self._folder, self._database, self._zone = folder, database, zone
        self._process: subprocess.Popen[bytes] | None = None
        with psycopg.connect(database) as connection:
            for name in ("standard", "acc", "dialog"):
                connection.execute((TABLES / f"{name}-create.sql").read_bytes())
            for section in sections:
                connection.execute(page_blocks(section, "sql").encode())
        marks = {
            "PORT": str(self.port),
            "MODULES": next(Path("/").glob(MODULES[1:])).parents[2].name,
            "DATABASE": database.replace("postgresql://", "postgres://"),
            "BLOCKS": "\n".join(page_blocks(section, "") for section in sections),
            "ACCOUNT": "".join(
                f"    route(CALLWARDEN_{section.rpartition('-')[2].upper()});\n" for section in sections
            ),
        }
        text = (FOLDER / "kamailio.cfg").read_text()
        (folder / "kamailio.cfg").write_text(re.sub(r"@([A-Z]+)@", lambda found: marks[found[1]], text))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        (self._folder / "run").mkdir(exist_ok=True)
        words = ["kamailio", "-f", "kamailio.cfg", "-DD", "-E", "-m", "64", "-M", "8", "-Y", str(self._folder / "run")]
        words += ["-P", str(self._folder / "run" / "pid"), "-w", str(self._folder)]
        self._process = _started(words, self._folder, "kamailio", TZ=self._zone)
        _wait_for("Kamailio to answer", self._answers, self._process, self._folder / "kamailio.out")

    def stop(self) -> None:
        """Stop it as an operator does."""
        if self._process is not None:
            _end(self._process)
            self._process = None

    def kill(self) -> None:
        """Kill it and its children with SIGKILL."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(PATIENCE_S)
        self._process = None

    def rows(self, table: str, columns: str = "*") -> list[dict[str, Any]]:
        """All rows of a table, by id, as the database stores them."""
        with psycopg.connect(self._database, row_factory=dict_row) as connection:
            return connection.execute(f"SELECT {columns} FROM {table} ORDER BY id".encode()).fetchall()

    def wait_for_rows(self, table: str, number: int) -> list[dict[str, Any]]:
        """Wait until the table has that many rows; return them."""
        assert self._process is not None
        _wait_for(f"{number} rows of {table}", lambda: len(self.rows(table, "id")) >= number, self._process)
        return self.rows(table)

    def export(self, table: str, path: Path, form: str = "csv") -> Path:
        """Export a table as the page describes: CSV with a header, or JSON lines."""
        query = f"SELECT * FROM {table} ORDER BY id"
        if form == "csv":
            copy = f"COPY ({query}) TO STDOUT (FORMAT csv, HEADER)"
        else:
            copy = f"COPY (SELECT row_to_json(row) FROM ({query}) AS row) TO STDOUT"
        with (
            psycopg.connect(self._database) as connection,
            connection.cursor().copy(copy.encode()) as rows,
            path.open("wb") as out,
        ):
            for part in rows:
                out.write(part)
        return path

    def _answers(self) -> bool:
        """Whether it answers OPTIONS."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as port:
            port.bind(("127.0.0.1", 0))
            port.settimeout(0.2)
            here = f"127.0.0.1:{port.getsockname()[1]}"
            lines = [
                f"OPTIONS sip:127.0.0.1:{self.port} SIP/2.0",
                f"Via: SIP/2.0/UDP {here};branch=z9hG4bK{time.monotonic_ns()}",
                f"From: <sip:test@{here}>;tag=1",
                f"To: <sip:127.0.0.1:{self.port}>",
                f"Call-ID: {time.monotonic_ns()}",
                "CSeq: 1 OPTIONS",
                "Content-Length: 0",
            ]
            try:
                port.sendto("".join(f"{line}\r\n" for line in (*lines, "")).encode(), ("127.0.0.1", self.port))
                return port.recv(2048).startswith(b"SIP/2.0 200")
            except (TimeoutError, ConnectionError):
                return False


def free_port() -> int:
    """An unused UDP port of 127.0.0.1."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _taken(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mine:
        try:
            mine.bind(("127.0.0.1", port))
        except OSError:
            return True
        return False


def _sipp(folder: Path, name: str, scenario: str, port: int, *more: str) -> subprocess.Popen[bytes]:
    words = ["sipp", "-sf", str(FOLDER / scenario), "-i", "127.0.0.1", "-p", str(port), "-nostdin", "-trace_logs"]
    # A busy machine repeats and reorders messages, which must not fail a call.
    words += ["-default_behaviors", "none"]
    words += ["-log_file", f"{name}.log", "-trace_err", "-error_file", f"{name}.err", *more]
    return _started(words, folder, name)


def _started(words: list[str], folder: Path, name: str, **more: str) -> subprocess.Popen[bytes]:
    """Start a process in a process group of its own, with its output in a file of the folder."""
    with (folder / f"{name}.out").open("ab") as out:
        return subprocess.Popen(
            words,
            cwd=folder,
            env={**os.environ, "PATH": _path(), "TERM": "dumb", **more},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )


def _path() -> str:
    # A user's PATH often lacks the folders of servers.
    return f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"


def _wait_for(what: str, holds: Callable[[], bool], process: subprocess.Popen[bytes], log: Path | None = None) -> None:
    until = time.monotonic() + PATIENCE_S
    while not holds():
        if process.poll() is not None or time.monotonic() > until:
            said = log.read_text(errors="replace")[-3000:] if log is not None and log.exists() else ""
            raise AssertionError(f"waited in vain for {what}; the process has ended with {process.poll()}: {said}")
        time.sleep(0.05)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and its children: first TERM, then KILL."""
    process.send_signal(signal.SIGCONT)
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(10)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(PATIENCE_S)
