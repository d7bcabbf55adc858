"""One platform: a tenant of each kind, drawn by a seed, and the file of their calls."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import numpy as np

from monitor.simulate.attack.odd_businesses import ODD_BUSINESSES
from monitor.simulate.attack.strategies import STRATEGIES
from monitor.simulate.attack.stream_calls import StreamPlace, joined, stream_calls
from monitor.simulate.attack.streams import TenantKind
from monitor.simulate.attack.tenant_draw import TenantDraw
from monitor.simulate.attack.usual_tenants import HONEST_TENANTS, OFFENDERS
from monitor.simulate.lines import CallLines
from monitor.simulate.settings import DEFAULT_START_MS
from monitor.simulate.tenants.traffic import SimulatedCalls

ALL_KINDS: tuple[TenantKind, ...] = (*STRATEGIES, *OFFENDERS, *ODD_BUSINESSES, *HONEST_TENANTS)


@dataclass(frozen=True, slots=True)
class DrawnTenant:
    """A tenant of a platform. ``bad_from_ms`` is its first unwanted call; None for honest ones."""

    tenant_id: str
    kind: TenantKind
    calls: int
    bad_from_ms: int | None


def draw_platform(
    seed: int,
    days: int,
    path: Path,
    *,
    kinds: Sequence[TenantKind] = ALL_KINDS,
    start_ms: int = DEFAULT_START_MS,
    optional: bool = True,
) -> list[DrawnTenant]:
    """Write the calls of a tenant of each kind to ``path``, by event time; the same for the same arguments.

    A kind's calls depend on the seed and its name alone. ``optional`` False: the platform fills none of
    `consent_id`, `hangup_by`, `answered_by` and `ring_ms`.
    """
    parts: list[SimulatedCalls] = []
    tenants = []
    for index, kind in enumerate(kinds):
        mine, bad_from_ms = _calls_of(kind, index, seed, days, start_ms)
        parts += mine
        tenants.append(DrawnTenant(kind.name, kind, sum(map(len, mine)), bad_from_ms))
    write_calls(path, joined(parts, 0), [kind.name for kind in kinds], optional)
    return tenants


def write_calls(path: Path, calls: SimulatedCalls, tenant_ids: Sequence[str], optional: bool) -> None:
    """Write calls as records, in their order."""
    lines = CallLines(tenant_ids, 0, optional)(calls)
    path.write_bytes("".join(lines.tolist()).encode())


def _calls_of(
    kind: TenantKind, index: int, seed: int, days: int, start_ms: int
) -> tuple[list[SimulatedCalls], int | None]:
    own_seed = np.random.SeedSequence([seed, crc32(kind.name.encode())])
    draw = TenantDraw(np.random.Generator(np.random.PCG64(own_seed)))
    number = int(own_seed.generate_state(1, np.uint64)[0]) >> 2
    found, bad_from_ms = [], None
    for at, stream in enumerate(kind.streams):
        calls = stream_calls(stream, draw, StreamPlace(index, number, at), start_ms, days)
        if calls is None:
            continue
        found.append(calls)
        if not kind.honest and not stream.wanted:
            first = int(calls.start.min())
            bad_from_ms = first if bad_from_ms is None else min(bad_from_ms, first)
    return found, bad_from_ms
