"""The message of a command that does not start: a sentence or, if its log is JSON, one line of the log."""

import json
import os
import sys
from contextvars import ContextVar
from typing import Final

import typer

_JSON: Final = ContextVar("json_errors", default=False)
_HINTS: Final = {
    1: "report it, with the lines of the log before this one",
    2: "correct that, and start again; `callwarden settings` shows each setting and its source",
    3: "start the service that it needs, or correct its address, and start again",
}


def json_wanted(option: bool, log_format: str | None = None) -> bool:
    """Whether a command's log is JSON: by ``--json-logs``, by the setting (by default the environment's), or because
    there is no terminal."""
    if option:
        return True
    wanted = (log_format or os.environ.get("CALLWARDEN_LOG_FORMAT", "auto")).strip().lower()
    return wanted == "json" or (wanted != "text" and not sys.stderr.isatty())


def in_json(wanted: bool) -> None:
    """From here on `say` speaks JSON, or does not."""
    _JSON.set(wanted)


def say(message: str, status: int, wanted: bool | None = None) -> None:
    """Write to standard error why a command ends. ``wanted``: as JSON; None: as `in_json` has set it."""
    typer.echo(_line(message, status) if (_JSON.get() if wanted is None else wanted) else message, err=True)


def _line(message: str, status: int) -> str:
    from structlog.processors import TimeStamper

    _, semicolon, hint = message.rpartition("; ")
    if not semicolon or "\n" in message or "expected" not in hint:
        hint = _HINTS.get(status, _HINTS[1])
    line = {
        "error": message,
        "hint": hint,
        "exit_status": status,
        "event": "cannot continue",
        "level": "critical",
    }
    return json.dumps(TimeStamper(fmt="iso", utc=True)(None, "", line), ensure_ascii=False)
