"""`callwarden notify`: what it refuses, and its trial of a receiver that is there and of one that is not."""

import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import structlog
from typer.testing import CliRunner

from monitor.cli.app import build

SECRET = "secret-of-the-tests-0123456789"


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No proxy; and logs go where they went before, not to the streams of a command that has ended."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    handlers = logging.root.handlers[:]
    yield
    logging.root.handlers[:] = handlers
    structlog.reset_defaults()


@pytest.fixture
def robot() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A WeCom robot that takes what it is told, but no reversal."""
    told: list[dict[str, Any]] = []

    class Robot(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            told.append(body)
            wrong = "撤销" in body["markdown"]["content"].splitlines()[0]
            said = {"errcode": 40058, "errmsg": f"not {SECRET}"} if wrong else {"errcode": 0, "errmsg": "ok"}
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(said).encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Robot) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/send?key={SECRET}", told
        server.shutdown()
        thread.join()


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(build("notify"), ["notify", *arguments])
    return done.exit_code, done.output


def test_without_a_channel_it_says_which_there_are() -> None:
    status, said = run()
    assert status == 2
    assert "no channel is set; CALLWARDEN_NOTIFY_ALERTMANAGER_URLS, _DINGTALK_URL, _FEISHU_URL, _WECOM_URL" in said
    assert run("--test")[0] == 2


def test_wrong_settings_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLWARDEN_NOTIFY_WECOM_URL", SECRET)
    status, said = run("--test")
    assert (status, said) == (
        2,
        "CALLWARDEN_NOTIFY_WECOM_URL: no address of the web; https://HOST/PATH would be right\n",
    )


def test_a_trial_sends_one_of_each_and_says_what_came_back(
    robot: tuple[str, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, told = robot
    monkeypatch.setenv("CALLWARDEN_NOTIFY_WECOM_URL", url)
    status, said = run("--test")
    assert status == 3
    lines = [line.split() for line in said.splitlines()]
    assert ["wecom", "warning", "took", "it:", "errcode", "0"] in lines
    assert ["wecom", "reversal", "FAILED:", "errcode", "40058:", "not", "***"] in lines
    assert lines[-1] == ["not", "taken:", "1"]
    assert len(told) == len(lines) - 1
    assert all("测试" in body["markdown"]["content"] for body in told)
    assert SECRET not in said


def test_a_trial_of_a_receiver_that_is_not_there_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLWARDEN_NOTIFY_WEBHOOK_URL", "http://127.0.0.1:1/")
    monkeypatch.setenv("CALLWARDEN_NOTIFY_WEBHOOK_SECRET", SECRET)
    status, said = run("--test")
    assert status == 3
    assert "FAILED: no connection: Connection refused" in said
