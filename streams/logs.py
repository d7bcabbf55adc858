"""Log lines: readable or JSON, the libraries' as ours, without what variables held and without telephone numbers."""

import logging
import sys
import traceback
from typing import Any

import structlog

from monitor.masking import mask_numbers


def set_up_logs(log_format: str = "auto", log_level: str = "info") -> None:
    """Lines on standard error, ``text`` or ``json`` (``auto``: text at a terminal), the libraries' errors as ours.

    ``log_level`` is of our own lines. Tracebacks show neither what variables held nor telephone numbers: an error's
    message may quote a record.
    """
    render: Any = structlog.processors.JSONRenderer()
    if log_format == "text" or (log_format == "auto" and sys.stderr.isatty()):
        render = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    processors = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.ExceptionRenderer(_masked_traceback),
        render,
    ]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(log_level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, _mask_event],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *processors],
        )
    )
    # The libraries tell of every lost connection in many lines; the engine tells of it in one. What they have to say
    # below errors quotes records.
    logging.basicConfig(level=logging.ERROR, handlers=[handler])
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


def _masked_traceback(exc_info: structlog.typing.ExcInfo) -> str:
    return mask_numbers("".join(traceback.format_exception(*exc_info)).rstrip())


def _mask_event(_: object, __: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Libraries put the errors of our code into their own sentences."""
    return {**line, "event": mask_numbers(line["event"])}
