"""`callwarden end-outage`: say that no calls are coming, rather than that they are away."""

from typing import Annotated

import typer


def run(
    reason: Annotated[str, typer.Option("--reason", metavar="WHY", help="Is kept with the command.")],
    partition: Annotated[
        int | None, typer.Option("--partition", min=0, help="Its worker alone.  [default: all of them]")
    ] = None,
    bootstrap: Annotated[
        str | None, typer.Option("--bootstrap", metavar="HOST:PORT,...", help="CALLWARDEN_BOOTSTRAP_SERVERS.")
    ] = None,
) -> None:
    """Tell the workers that the calls are not away: there are none.

    Windows are then judged without waiting for the outage's grace, until the next call comes; a backlog that comes
    after all is late. Exit status 3: no broker.
    """
    from monitor.cli.inputs import settings_for
    from monitor.cli.operator import operate
    from streams.cluster import Cluster, Refused
    from streams.commands import partition_count, send
    from streams.control import EndOutageCommand
    from streams.names import Names

    settings = settings_for({"bootstrap_servers": bootstrap})
    names = Names(settings.input_prefix, settings.output_prefix)

    async def work(cluster: Cluster) -> int:
        count = await partition_count(cluster, names)
        if partition is not None and partition >= count:
            raise Refused(f"--partition {partition}: there are {count}; expected 0 to {count - 1}")
        numbers = list(range(count)) if partition is None else [partition]
        await send(cluster, names, settings.application_id, numbers, EndOutageCommand(reason))
        return len(numbers)

    told = operate("end-outage", settings, work)
    typer.echo(f"written for {told} partition{'s' if told > 1 else ''}: their clocks follow system time")
