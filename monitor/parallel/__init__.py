"""Replay on several cores: each process decodes pieces of the files and runs one shard; the pool keeps the order.

A piece is decoded by any process, its calls sorted by the shard that they belong to. Its event times come back to the
pool, where clocks, lateness and reading order are settled as in `monitor.replay`; then each shard gets its part of the
piece, as the bytes that the decoding process made of it, and what of it comes next. So what crosses the pool is never
unpacked in it, and the decisions are the same bytes for any number of processes.
"""
