"""The stream task of one partition number: reads its sources in order, feeds the shard, checkpoints.

`task` is the entrance. It may import `monitor.decoding` and `monitor.core`; it knows no broker.
"""
