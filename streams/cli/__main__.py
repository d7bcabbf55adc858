"""The command `callwarden`, which is also `python -m streams.cli`."""

from streams.runtime.process_one import end_as_process_one


def main() -> None:
    """Run `callwarden`. Exit status: `docs/reference/commands.md`."""
    # First: until then, SIGTERM is lost in a container. The imports may take seconds there.
    end_as_process_one()

    from streams.cli.app import main as run

    run()


if __name__ == "__main__":
    main()
