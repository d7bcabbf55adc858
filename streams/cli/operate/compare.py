"""`callwarden compare`: how the decisions of two workers differ."""

from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.options import Bootstrap, Json
from streams.cli.outputs import print_json

if TYPE_CHECKING:
    from streams.kafka.cluster import KafkaCluster
    from streams.topics.progress import DecidedEvents


def run(
    prefix_a: Annotated[str, typer.Argument(metavar="PREFIX_A", help="An output prefix, such as `callwarden.`")],
    prefix_b: Annotated[str, typer.Argument(metavar="PREFIX_B", help="Another, such as `callwarden-canary.`")],
    from_: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="Compare only decisions from this time on.")
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="Show at most this many differences of each kind.")] = 20,
    json_: Json = False,
    bootstrap: Bootstrap = None,
) -> None:
    """Compare the decisions of the workers of two output prefixes, up to where both have judged.

    Decisions are compared by id; then those that only one has, by tenant, rule and window. Different names of the
    policies are not a difference. A record that is not a decision is named, and counts as a difference.

    Exit status: 1 the decisions differ, or there is nothing to compare; 3 Kafka cannot be reached.
    """
    from monitor.text.timestamps import rfc3339
    from monitor.whatif.event_diff import compare
    from streams.cli.cluster_session import operate
    from streams.cli.inputs import fail, parse_time, settings_for
    from streams.cli.operate.compare_format import (
        as_json,
        comparison_lines,
        policies,
        unreadable_lines,
        verdict,
    )
    from streams.kafka.topic_names import TopicNames
    from streams.topics.progress import decided, until_both

    settings = settings_for({"bootstrap_servers": bootstrap})
    from_ms = parse_time("--from", from_) if from_ is not None else 0

    async def read(cluster: "KafkaCluster") -> "list[DecidedEvents]":
        return [await decided(cluster, TopicNames(settings.input_prefix, prefix)) for prefix in (prefix_a, prefix_b)]

    a, b = operate("compare", settings, read)
    if a.partitioner != b.partitioner:
        which = f"{prefix_a} has {a.partitioner}, {prefix_b} {b.partitioner}"
        fail(f"{which}: expected the same partitioner, because progress is compared by partition", 1)
    until_ms = until_both(a, b)
    if not any(until_ms):
        fail("nothing to compare: expected a partition that both have judged", 1)
    events_a, events_b = a.between(from_ms, until_ms), b.between(from_ms, until_ms)
    found = compare(events_a, events_b, ignored={"data.policy"})
    equal = found.equal and not a.unreadable and not b.unreadable
    sides = {prefix_a: policies(events_a, settings.display), prefix_b: policies(events_b, settings.display)}
    if json_:
        head = {"a": prefix_a, "b": prefix_b, "from_ms": from_ms, "until_ms": until_ms}
        plain = as_json(found, a.unreadable, b.unreadable)
        print_json({**head, "policies": list(sides.values()), **plain})
    else:
        judged = [ms for ms in until_ms if ms]
        first, last = (rfc3339(ms, "shortest") for ms in (min(judged), max(judged)))
        typer.echo(f"{_span(first, last)}, as far as both have judged{_absent(a, b)}")
        for prefix, named in sides.items():
            typer.echo(f"{prefix} under {', '.join(named) or 'no policy: it decided nothing'}")
        for each in comparison_lines(found, prefix_a, prefix_b, limit, settings.display):
            typer.echo(each)
        for prefix, side in ((prefix_a, a), (prefix_b, b)):
            for each in unreadable_lines(side.unreadable, prefix, limit, settings.display):
                typer.echo(each)
        typer.echo(verdict(found, len(a.unreadable) + len(b.unreadable)))
    if not equal:
        raise typer.Exit(1)


def _span(first: str, last: str) -> str:
    return f"up to {first}" if first == last else f"up to {first} (the last partition) ... {last} (the first)"


def _absent(a: "DecidedEvents", b: "DecidedEvents") -> str:
    absent = [{number for number, ms in enumerate(one.judged_ms) if not ms} for one in (a, b)]
    if len(a.judged_ms) == len(b.judged_ms):
        absent = [absent[0] | absent[1]]
    named = [f"partition{'s' if len(some) > 1 else ''} {', '.join(map(str, sorted(some)))}" for some in absent if some]
    return f"; {' and '.join(named)} not yet" if named else ""
