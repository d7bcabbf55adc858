"""The commands of the reviewers' desk start fast: what they import, and that they collect no garbage."""

import gc
import subprocess
import sys

import pytest

from streams.cli import app


@pytest.mark.parametrize(
    ("imports", "also_heavy"),
    [
        (
            "streams.cli.consume.reviews, streams.cli.consume.reviewing.review_session, "
            "streams.cli.consume.ledger_reading, "
            "streams.cli.consume.case_format, "
            "streams.kafka.cluster, streams.topics.state_inputs",
            "",
        ),
        (
            "streams.cli.consume.ledger, streams.cli.consume.ledger_reading, streams.cli.consume.case_format, "
            "streams.cli.cluster_session, "
            "monitor.report.standing, streams.consumers.ledger.access, streams.consumers.ledger.queries.lookup, "
            "streams.consumers.ledger.queries.export",
            "aiokafka",
        ),
    ],
)
def test_a_command_of_the_desk_imports_nothing_that_it_does_not_need(imports: str, also_heavy: str) -> None:
    heavy = (
        "numpy structlog alembic psycopg uvicorn prometheus_client rich.live monitor.partition.task monitor.core.shard "
        "monitor.policy.load monitor.decoding.decode monitor.reasons streams.kafka.fetch.columnar_fetch "
        "cryptography fastapi jinja2 sqlalchemy.orm sqlalchemy.ext " + also_heavy
    )
    code = f"import sys, {imports}\nprint(*[name for name in {heavy.split()!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize(
    ("arguments", "collects"),
    [
        (["reviews", "list"], False),
        (["ledger", "show"], False),
        (["ledger", "run"], True),
        (["replay"], False),
        (["worker"], False),
    ],
)
def test_garbage_is_not_collected_while_a_command_imports_much(
    arguments: list[str], collects: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is an eighth of the time that imports take."""
    found: list[bool] = []
    monkeypatch.setattr("sys.argv", ["callwarden", *arguments])
    monkeypatch.setattr(app, "build", lambda chosen: lambda prog_name: found.append(gc.isenabled()))
    app.main()
    assert found == [collects]
    assert gc.isenabled()


def test_settings_are_read_without_a_look_at_their_meanings() -> None:
    """Finding the meanings parses a source file at each start of each command."""
    code = "import ast; ast.parse = None\nfrom streams.settings.load import load; load()"
    subprocess.run([sys.executable, "-c", code], check=True)
