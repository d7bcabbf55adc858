"""Early evaluation: alerts fire on what has been read, before the watermark decides.

It may import every package of the core but `shard`.
"""
