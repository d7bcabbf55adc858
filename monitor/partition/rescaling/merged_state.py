"""The shard's state of a new partition: the entries of the old ones for the tenants that it takes, renumbered."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

import msgspec
import numpy as np

from monitor.core.owners.held_ban import encode_owner_bans
from monitor.core.record_places import renumbered_places
from monitor.core.snapshot import ShardCheckpoint, encode_names
from monitor.core.split_by_tenant import ELSEWHERE, Numbers, merge_renumbered, renumbered
from monitor.core.tenants.active_alert import ActiveAlerts
from monitor.core.tenants.alert_store import decode_alerts, encode_alerts
from monitor.core.tenants.first_calls import NEVER, decode_first_calls, encode_first_calls
from monitor.core.tenants.tenant_store import decode_tenant_records, encode_tenant_records
from monitor.core.windows.pane import KEY_SETS, Pane
from monitor.core.windows.pane_store import WindowCheckpoint, decode_pane, encode_pane
from monitor.core.windows.policy_history import FieldAvailability
from monitor.core.windows.window import FINE_MS, HOUR_MS
from monitor.partition.rescaling.owner_merge import merged_owner_bans
from monitor.partition.rescaling.source_partition import SourcePartition
from monitor.policy.metrics import KeySet


def merged_shard_head(heads: Sequence[ShardCheckpoint], numbers: Sequence[Numbers], tenants: int) -> ShardCheckpoint:
    """The head of the shard. ``numbers`` are the new numbers of the tenants of each old partition."""

    def levels(keys: KeySet, length: int) -> dict[int, int]:
        found: dict[int, int] = {}
        for head, own in zip(heads, numbers, strict=True):
            found |= renumbered(head.windows[length].levels(keys), own)
        return found

    return msgspec.structs.replace(
        heads[0],
        # Everything due was decided in all partitions, so the latest evaluation time holds for all.
        at_ms=max(head.at_ms for head in heads),
        newest_ms=max(head.newest_ms for head in heads),
        tenants=tenants,
        decided=None,
        measured=None,
        windows={
            length: WindowCheckpoint.of(
                max(head.windows[length].left_ms for head in heads), {keys: levels(keys, length) for keys in KEY_SETS}
            )
            for length in heads[0].windows
        },
    )


def fine_panes_from_ms(head: ShardCheckpoint) -> int:
    """The time from which fine panes are needed.

    A shard that had nothing to evaluate for a long time has older ones, for which other shards have only hour panes.
    """
    fine_ms = max((length for length in head.windows if length <= FINE_MS), default=0)
    return (head.at_ms - fine_ms) // HOUR_MS * HOUR_MS


def merged_entries(
    formers: Sequence[SourcePartition],
    pasts: Sequence[FieldAvailability | None],
    numbers: Sequence[Numbers],
    names: Sequence[str],
    logs: Sequence[dict[int, int]],
    fine_from_ms: int,
) -> dict[str, bytes]:
    """The entries of the tenants ``names``, and of the panes from ``fine_from_ms`` on.

    ``pasts``, ``numbers`` and ``logs`` are those of each old partition: the history that converts its panes, and the
    new numbers of its tenants and of its logs.
    """
    entries = encode_names(names, 0)
    first_calls = np.full(len(names), NEVER)
    alerts = ActiveAlerts({}, {})
    for former, own, of_logs in zip(formers, numbers, logs, strict=True):
        alerts.add(
            decode_alerts(former.entries).of({tenant: int(to) for tenant, to in enumerate(own) if to != ELSEWHERE})
        )
        first_calls[own[own != ELSEWHERE]] = decode_first_calls(former.entries, len(own))[own != ELSEWHERE]
        for tenant_record in decode_tenant_records(former.entries):
            if own[tenant_record.tenant] != ELSEWHERE:
                tenant_record.renumber(int(own[tenant_record.tenant]))
                tenant_record.renumber_logs(of_logs)
                entries |= {
                    key: value for key, value in encode_tenant_records([tenant_record]).items() if value is not None
                }
    entries |= encode_alerts(alerts) | encode_first_calls(first_calls)
    entries |= encode_owner_bans(
        merged_owner_bans([former.entries for former in formers], formers[0].head.watermark_ms)
    )
    stored = sorted(
        (key, number)
        for number, former in enumerate(formers)
        for key in former.entries
        if key[0] in "fh" and key[1:].isdigit() and not (key[0] == "f" and int(key[1:]) < fine_from_ms)
    )
    for key, owners in groupby(stored, key=lambda one: one[0]):
        pane = merge_renumbered(
            (
                _relogged(_read(key, decode_pane(formers[number].entries[key]), pasts[number]), logs[number]),
                numbers[number],
            )
            for _, number in owners
        )
        if pane is not None:
            entries[key] = encode_pane(pane)
    return entries


def _read(key: str, pane: Pane, past: FieldAvailability | None) -> Pane:
    if past is None:
        return pane
    return past.read(pane) if key[0] == "f" else past.read_hour(pane)


def _relogged(pane: Pane, logs: dict[int, int]) -> Pane:
    rows = pane.evidence
    return replace(pane, evidence=replace(rows, place=renumbered_places(rows.place, logs)))
