"""Logs the records of other programs in Callwarden's own topics, which are skipped."""


def log_foreign_record(event: str, **fields: str) -> None:
    """Log a warning. A command that has not set up its logs gets it on standard error: its answer is on the other."""
    # Imported here: rarely needed, and commands would wait for it.
    import structlog

    from streams.runtime.logging import set_up_logs

    if not structlog.is_configured():
        set_up_logs()
    structlog.get_logger("callwarden").warning(event, **fields)
