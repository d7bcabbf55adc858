"""How a partition measures its tenants for a page of metrics, here without a thread."""

from monitor.core.shard import Shard
from monitor.core.threshold_distance import DistanceOptions, ThresholdDistances, measure_distances
from streams.metrics.tenant_collector import Measure


def measure_of(shard: Shard) -> Measure:
    """Measure that shard whenever a page asks."""

    async def measure(options: DistanceOptions) -> ThresholdDistances:
        return measure_distances(shard, options)

    return measure
