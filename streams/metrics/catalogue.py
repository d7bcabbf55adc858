"""The catalogue: every metric of Callwarden's programs, defined once. All metrics are created from it."""

from streams.metrics.assemble_metrics import ASSEMBLING
from streams.metrics.bridge_metrics import BRIDGING
from streams.metrics.consumer_metrics import CONSUMING
from streams.metrics.follow_metrics import FOLLOWING
from streams.metrics.ingest_metrics import INGESTING
from streams.metrics.spec import MetricSpec
from streams.metrics.worker_metrics import JUDGING

CATALOGUE: tuple[MetricSpec, ...] = (
    *(*JUDGING, *CONSUMING, *INGESTING),
    *(*BRIDGING, *ASSEMBLING, *FOLLOWING),
)
BY_NAME = {entry.name: entry for entry in CATALOGUE}
