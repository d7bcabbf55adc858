"""Whether the old partitions of a rescale can be merged: complete, with one time and the same settings and policies."""

from collections.abc import Sequence

import msgspec

from monitor.core.windows.policy_history import FieldAvailability
from monitor.decoding.late_line import LateLine
from monitor.partition.rescaling.source_partition import SourcePartition, newest_review_keys
from monitor.policy.timeline import PolicyVersion
from monitor.text.timestamps import rfc3339


class RescaleError(ValueError):
    """The states cannot be rescaled as they are."""


def check_complete(formers: Sequence[SourcePartition]) -> None:
    """Check that each partition of one partition count is there, in order. Raises RescaleError."""
    first = formers[0].head
    if [former.head.place for former in formers] != [
        msgspec.structs.replace(first.place, number=number) for number in range(first.place.partitions)
    ]:
        raise RescaleError("expected the state of each partition once, all with the same number of partitions")


def check_alike(formers: Sequence[SourcePartition]) -> None:
    """Check that all have decided up to one time, with the same settings apart from policies. Raises RescaleError."""
    first = formers[0].head
    apart = {"versions", "policy_sha256", "place", "published_ms", "outage_ended", "control", "handed_over", "sources"}
    apart |= {"shard", "entries", "owners", "logs"}
    for former in formers:
        head, number = former.head, former.head.place.number
        for name in head.__struct_fields__:
            if name not in apart and getattr(head, name) != getattr(first, name):
                raise RescaleError(
                    f"expected the same {name} in all partitions; partition {number} differs from partition 0"
                )
        if head.published_ms >= head.watermark_ms > 0:
            raise RescaleError(
                f"partition {number} lost its state and still repeats decisions that are already published; "
                "run its worker until it has passed them"
            )
        if head.shard.closed_ms != first.shard.closed_ms:
            raise RescaleError(
                f"expected all partitions to have closed panes up to the same time; partition {number} differs from "
                "partition 0"
            )
        if newest_review_keys(former) != newest_review_keys(formers[0]):
            raise RescaleError(
                f"partition {number} has other review keys than partition 0; expected the same: give the keys by "
                "CALLWARDEN_REVIEW_KEYS_FILE, also to this command"
            )


def merged_policies(
    formers: Sequence[SourcePartition],
) -> tuple[Sequence[PolicyVersion], Sequence[FieldAvailability | None]]:
    """The policies of the new partitions, and for each old one the history to convert its panes, None if not needed.

    If policies changed at different times, a new partition knows only the policy in force. Raises RescaleError if
    anything still to be evaluated depends on an earlier policy.
    """
    # Each partition keeps as many past policies as it needs; apart from that, the versions are the same.
    longest = max((former.versions for former in formers), key=len)
    if all(former.versions == longest[len(longest) - len(former.versions) :] for former in formers):
        return longest, [None] * len(formers)
    pasts = [former.history for former in formers]
    _check_policies(formers, pasts)
    settled_ms = max(past.settled_ms for past in pasts)
    if settled_ms > min(former.head.watermark_ms for former in formers):
        raise RescaleError(
            "the policy in force began at different times in the partitions, and some rules count what was not counted "
            f"before it; their windows are complete from {rfc3339(settled_ms)} on: wait until then"
        )
    from_ms = max(past.versions[-1].from_ms for past in pasts)
    versions = [PolicyVersion(from_ms, pasts[0].policy), *formers[0].coming]
    _check_lateness(formers, versions)
    return versions, pasts


def _check_policies(formers: Sequence[SourcePartition], pasts: Sequence[FieldAvailability]) -> None:
    """Check that the same policy is in force in all partitions, and the same are scheduled. Raises RescaleError."""
    expected = pasts[0].policy.sha256
    for former, past in zip(formers, pasts, strict=True):
        number, policy = former.head.place.number, past.policy
        if policy.sha256 != expected:
            until = next((version for version in former.coming if version.policy.sha256 == expected), None)
            wait = (
                f"wait until {rfc3339(until.from_ms)}"
                if until
                else "run callwarden policy apply with the policy to use"
            )
            raise RescaleError(
                f"partition {number} applies the policy {policy.sha256[:12]}, partition 0 the policy "
                f"{expected[:12]}; expected the same policy in all partitions: {wait}"
            )
        if former.coming != formers[0].coming:
            raise RescaleError(
                f"partition {number} has other scheduled policies than partition 0, or for other times; expected the "
                "same: run callwarden policy withdraw, and apply them again after the move"
            )


def _check_lateness(formers: Sequence[SourcePartition], versions: Sequence[PolicyVersion]) -> None:
    """Check that no late line changes if these are the versions of all partitions. Raises RescaleError."""
    after = LateLine.of(versions)
    for former in formers:
        before = LateLine.of(former.versions)
        clocks_ms = [source.done_ms for source in former.head.sources]
        if any(before.line(clock_ms) != after.line(clock_ms) for clock_ms in clocks_ms):
            raise RescaleError(
                f"partition {former.head.place.number} has not passed the time at which the lateness changes, and "
                "others have; wait until it has read later records"
            )
