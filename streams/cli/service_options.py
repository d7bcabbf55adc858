"""What the services share: their log, which also has an unexpected error."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.fatal import in_json, json_wanted

if TYPE_CHECKING:
    from streams.settings.load import Settings


def _errors_as_logs(context: typer.Context, option: bool) -> bool:
    in_json(json_wanted(option))
    context.call_on_close(lambda: in_json(wanted=False))
    return option


JsonLogs = Annotated[bool, typer.Option("--json-logs", callback=_errors_as_logs, help="As CALLWARDEN_LOG_FORMAT=json.")]


@contextmanager
def logged(settings: "Settings", json_logs: bool) -> Iterator[None]:
    """Set up the log by the settings. An unexpected error is logged, masked, and ends with exit status 1."""
    import structlog

    from streams.runtime.logging import set_up_logs

    set_up_logs("json" if json_logs else settings.log_format, settings.log_level, settings.mask_ids)
    in_json(json_wanted(json_logs, settings.log_format))
    try:
        yield
    except typer.Exit:
        raise
    except Exception:  # noqa: BLE001 - the interpreter would print the message, which may quote a record
        structlog.get_logger("callwarden").critical("ended by an unexpected error", exc_info=True)
        raise typer.Exit(1) from None
