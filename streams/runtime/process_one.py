"""SIGTERM for the first process of a container. Imports no asyncio: every command uses this, also `--help`."""

import os
import signal


def end_as_process_one() -> None:
    """Let SIGTERM end this process if it is the first one of a container, for which signals have no default action.

    Services replace this by an orderly shutdown once they run. Until then, and in others, SIGTERM would be lost.
    """
    if os.getpid() == 1:
        signal.signal(signal.SIGTERM, lambda *_: os._exit(128 + signal.SIGTERM))
