"""What the services share: how they run, and their log, which also has an unexpected error."""

from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.cli.fatal import in_json, json_wanted

if TYPE_CHECKING:
    from streams.kafka.cluster import KafkaCluster
    from streams.settings.load import Settings


def _errors_as_logs(context: typer.Context, option: bool) -> bool:
    in_json(json_wanted(option))
    context.call_on_close(lambda: in_json(wanted=False))
    return option


JsonLogs = Annotated[bool, typer.Option("--json-logs", callback=_errors_as_logs, help="As CALLWARDEN_LOG_FORMAT=json.")]


def serve(
    command: str,
    settings: "Settings",
    json_logs: bool,
    service: "Callable[[KafkaCluster], Coroutine[Any, Any, None]]",
    group: str | None = None,
) -> None:
    """Run a service on the cluster until it is stopped, with its log. Exit status 2 if it or the cluster refuses."""
    from streams.cli.cluster_session import on_cluster
    from streams.cli.inputs import fail
    from streams.kafka.api import PermanentError

    with logged(settings, json_logs):
        try:
            on_cluster(settings, service, group)
        except PermanentError as error:
            fail(f"callwarden {command}: {error}")


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
