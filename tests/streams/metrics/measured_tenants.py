"""A partition's measurement of its tenants for a metrics page, here without a thread."""

from monitor.core.shard import Shard
from monitor.core.threshold_distance import DistanceOptions, ThresholdDistances, measure_distances
from streams.metrics.tenant_collector import Measure


def measure_of(shard: Shard) -> Measure:
    """A function that measures the shard whenever a page is requested."""

    async def measure(options: DistanceOptions) -> ThresholdDistances:
        return measure_distances(shard, options)

    return measure
