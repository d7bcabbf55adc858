"""The parts of a stream task: its intake, its watermark, its output, and what it stores besides the shard.

They import the modules of `monitor.partition` that `monitor.partition.task` stands on, `monitor.decoding` and
`monitor.core`.
"""
