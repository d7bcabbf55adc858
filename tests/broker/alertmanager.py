"""A real Alertmanager of one's own, from Debian's package, on 127.0.0.1 and gone afterwards."""

import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Self

PROGRAM = "prometheus-alertmanager"


class AlertmanagerServer:
    """The server, run with the configuration ``config`` (YAML); ``folder`` is its own."""

    def __init__(self, folder: Path, config: str) -> None:
        self._folder = folder
        (folder / "alertmanager.yml").write_text(config, "utf-8")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{free.getsockname()[1]}"
        self._server: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with (self._folder / "log").open("wb") as log:
            self._server = subprocess.Popen(
                [
                    PROGRAM,
                    f"--config.file={self._folder / 'alertmanager.yml'}",
                    f"--storage.path={self._folder / 'data'}",
                    f"--web.listen-address={self.url.removeprefix('http://')}",
                    "--cluster.listen-address=",
                ],
                stdout=log,
                stderr=log,
            )
        until = time.monotonic() + 60
        while not self._ready():
            assert self._server.poll() is None, (self._folder / "log").read_text()[-2000:]
            assert time.monotonic() < until, "Alertmanager does not answer"
            signal.sigtimedwait([], 0.1)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.kill()
        self._server.wait(30)

    def amtool(self, *arguments: str) -> str:
        """What `amtool` says."""
        done = subprocess.run(
            ["amtool", f"--alertmanager.url={self.url}", *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return done.stdout

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False


def there() -> bool:
    """Whether its programs are."""
    return shutil.which(PROGRAM) is not None and shutil.which("amtool") is not None
