"""The policies of an application, as its clock log has them: what holds where, and since when."""

from collections.abc import Mapping, Sequence

from monitor.notes import Switch
from monitor.policy.eras import Era, boundary
from monitor.policy.load import PolicyError, from_plain
from streams import clocklog
from streams.cluster import TP, Cluster, Refused
from streams.names import Names

_TAG = b'"type":"policy"'  # of thousands of notes a few are; the others need not be decoded


async def noted(cluster: Cluster, names: Names, numbers: Sequence[int]) -> dict[int, list[Switch]]:
    """What was noted of policies for each of these partition numbers, in order of time. Unavailable, Refused."""
    return {number: await _of(cluster, TP(names.output("clock"), number)) for number in numbers}


async def _of(cluster: Cluster, clock: TP) -> list[Switch]:
    start, end = (await cluster.starts([clock]))[clock], (await cluster.ends([clock]))[clock]
    found: dict[int, Switch] = {}
    async for _, _, note in clocklog.noted(cluster, clock, start, end, having=_TAG):
        if isinstance(note, Switch):
            found.setdefault(note.from_ms, note)
    return [found[from_ms] for from_ms in sorted(found)]


def newest(switches: Mapping[int, Sequence[Switch]]) -> Era | None:
    """The policy that was noted last of all, with its time; None where none was. Refused where it cannot be read."""
    every = [switch for some in switches.values() for switch in some]
    if not every:
        return None
    last = max(every, key=lambda switch: switch.from_ms)
    try:
        return Era(last.from_ms, from_plain(last.policy, last.sha256))
    except PolicyError as error:
        raise Refused(f"expected a policy that this release can read: {error}") from None


def earliest(last: Era | None, from_ms: int) -> int:
    """From when a policy holds that is to from ``from_ms`` on: it follows the ``last``, also one still to come."""
    return boundary(from_ms if last is None else max(from_ms, last.from_ms + 1))
