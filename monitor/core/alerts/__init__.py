"""Early evaluation: fires alerts on what has been read, before the watermark allows a decision.

It may import all of the core except `shard`.
"""
