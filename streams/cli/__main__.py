"""The command `callwarden`, which is also `python -m streams.cli`."""

import os

from streams.runtime.process_one import end_as_process_one


def main() -> None:
    """Run `callwarden`. Exit status: `docs/reference/commands.md`."""
    # First: until then, SIGTERM is lost in a container. The imports may take seconds there.
    end_as_process_one()
    # Before numpy is imported: its library for linear algebra, which nothing here calls, starts a thread for each core,
    # and each spins for 0.1 s before it sleeps.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

    from streams.cli.app import main as run

    run()


if __name__ == "__main__":
    main()
