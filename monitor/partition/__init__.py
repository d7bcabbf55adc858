"""The stream task of one partition number: reads its sources in order, feeds the shard, writes checkpoints.

`task` is the entry point, and `processing` has its parts. The package may import `monitor.decoding` and `monitor.core`;
it does not depend on a broker.
"""
