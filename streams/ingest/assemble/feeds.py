"""The sources whose events are assembled: how each is read, by its name.

A source that is not known may have events in the log that would be lost without it. So its partitions wait, and open
again once the sources file has it.
"""

from monitor.adapters.assembly.assembler import AssemblyLimits
from monitor.adapters.shipped import NAMES, open_adapter
from monitor.adapters.versioned import of_versions
from streams.ingest.assemble.lane import AssembledLane, Lane
from streams.ingest.foreign_rows import EventAdapter
from streams.ingest.http.sources.sources_file import ForeignSources
from streams.kafka.api import TransientError


class UnknownFeed(TransientError):
    """There is no source of this name whose rows are events."""

    def __init__(self, feed: str, why: str) -> None:
        super().__init__(
            f"callwarden.raw has events of the source {feed!a}, and {why}; expected its entry in the sources file, "
            "with a format in which several events make one call, or whose calls are held by `settle`"
        )


class Feeds:
    """The sources of the sources file, and the shipped formats by their own names.

    A source keeps the mapping that it had at its first event until the process ends.
    """

    def __init__(self, sources: ForeignSources, limits: AssemblyLimits) -> None:
        self._sources, self._limits = sources, limits
        self._adapters: dict[str, EventAdapter] = {}

    def lane(self, feed: str) -> Lane:
        """A new lane for the events of a source. Raises UnknownFeed."""
        return AssembledLane(self.adapter(feed), self._limits)

    def adapter(self, feed: str) -> EventAdapter:
        """How the events of a source are read. Raises UnknownFeed."""
        adapter = self._adapters.get(feed)
        if adapter is None:
            adapter = self._adapters[feed] = self._open(feed)
        return adapter

    def _open(self, feed: str) -> EventAdapter:
        source = self._sources.find(feed)
        if source is not None:
            # If its `settle` is 0s again, the log still has versions of its calls, and some may be held.
            found: object = of_versions(source.adapter) or source.adapter
        elif feed in NAMES:
            found = open_adapter(feed)
        else:
            raise UnknownFeed(feed, "there is no such source")
        if not isinstance(found, EventAdapter):
            raise UnknownFeed(feed, "the rows of its format are records")
        return found
