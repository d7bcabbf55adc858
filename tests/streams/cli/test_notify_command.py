"""`callwarden notify`: refused options, and its test messages to available and unavailable receivers."""

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection
from typer.testing import CliRunner

from schemas.outputs import Reason
from streams.cli.app import build
from streams.consumers.database import Database
from streams.consumers.notify import outbox
from streams.consumers.notify.messages.message import Message

SECRET = "secret-of-the-tests-0123456789"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests to this machine do not use a proxy."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def robot() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A WeCom robot that accepts every message except reversals."""
    printed: list[dict[str, Any]] = []

    class Robot(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            printed.append(body)
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
        yield f"http://127.0.0.1:{server.server_port}/send?key={SECRET}", printed
        server.shutdown()
        thread.join()


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(build("notify"), ["notify", *arguments])
    return done.exit_code, done.output


def test_without_a_channel_the_available_ones_are_listed() -> None:
    status, said = run()
    assert status == 2
    assert (
        "nothing will be sent; expected CALLWARDEN_NOTIFY_ALERTMANAGER_URLS, _DINGTALK_URL, _FEISHU_URL, _WECOM_URL"
        in said
    )
    assert run("--test")[0] == 2


def test_wrong_settings_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLWARDEN_NOTIFY_WECOM_URL", SECRET)
    status, said = run("--test")
    assert (status, said) == (
        2,
        "CALLWARDEN_NOTIFY_WECOM_URL: not a web address; expected https://HOST/PATH\n",
    )


def test_test_messages_are_sent_one_of_each_kind_and_the_answers_are_shown(
    robot: tuple[str, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, printed = robot
    monkeypatch.setenv("CALLWARDEN_NOTIFY_WECOM_URL", url)
    monkeypatch.setenv("CALLWARDEN_LOG_FORMAT", "text")
    status, said = run("--test")
    assert status == 3
    lines = [line.split() for line in said.splitlines()]
    assert ["wecom", "warning", "accepted:", "errcode", "0"] in lines
    assert ["wecom", "reversal", "FAILED:", "errcode", "40058:", "not", "***"] in lines
    assert lines[-1] == ["not", "accepted:", "1"]
    assert len(printed) == len(lines) - 1
    assert all("测试" in body["markdown"]["content"] for body in printed)
    assert SECRET not in said


def test_test_messages_to_an_unavailable_receiver_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLWARDEN_NOTIFY_WEBHOOK_URL", "http://127.0.0.1:1/")
    monkeypatch.setenv("CALLWARDEN_NOTIFY_WEBHOOK_SECRET", SECRET)
    status, said = run("--test")
    assert status == 3
    assert "FAILED: no connection: Connection refused" in said


# Messages that were given up -----------------------------------------------------------------------------------------


def test_listing_without_a_notifier_creates_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CALLWARDEN_NOTIFY_DATABASE", f"sqlite:///{tmp_path / 'notify.db'}")
    for option in ("--failed", "--send-again"):
        status, said = run(option)
        assert status == 2
        assert "notify.db contains no notifier's messages" in said
    assert list(tmp_path.iterdir()) == []
    status, said = run("--failed", "--send-again")
    assert (status, "one of them" in said) == (2, True)


def test_failed_messages_are_listed_and_sent_again_unless_their_subject_has_ended(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    address = f"sqlite:///{tmp_path / 'notify.db'}"
    monkeypatch.setenv("CALLWARDEN_NOTIFY_DATABASE", address)
    title = Reason("封号", "Ban")
    number, at_ms = "13912345678", 1_772_409_600_000
    ban = Message(id="decision:a", what="ban", severity="critical", at_ms=at_ms, title=title, tenant_id=number)
    alert = Message(
        id="alert:b", what="alert", severity="warning", at_ms=at_ms, title=title, tenant_id="acme", standing="on"
    )

    def fill(connection: Connection) -> None:
        outbox.enqueue(connection, [ban, alert], ["webhook"], at_ms)
        found = outbox.due_rows(connection, "webhook", at_ms, 10)
        outbox.mark_ended(connection, [row.number for row in found], "given_up", at_ms)
        over = {name: getattr(alert, name) for name in alert.__struct_fields__} | {"id": "over:b", "standing": "off"}
        outbox.enqueue(connection, [Message(**over)], [], at_ms)

    database = Database(address, "notify")
    asyncio.run(database.migrate())
    asyncio.run(database.run(fill))
    status, said = run("--failed")
    assert (status, number in said) == (0, False)
    first, second = said.splitlines()
    assert first.startswith("2026-03-02T00:00:00Z  webhook         ban")
    assert first.endswith("封号 / Ban")
    assert second.endswith("acme  封号 / Ban  (no longer true)")
    listed = json.loads(run("--failed", "--json")[1])["messages"]
    assert [(each["what"], each["tenant_id"], each["over"]) for each in listed] == [
        ("ban", number, False), ("alert", "acme", True),
    ]  # fmt: skip
    assert (
        run("--send-again")[1].splitlines()[-1]
        == "the running notifier sends 1 again; 1 skipped, because they are no longer true"
    )
    assert run("--failed")[1].splitlines() == [second]
    waiting = asyncio.run(database.run(lambda connection: outbox.due_rows(connection, "webhook", at_ms * 2, 10)))
    assert [(row.message, row.attempts) for row in waiting] == [(ban, 0)]
    database.close()
