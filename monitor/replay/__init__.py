"""Replay: evaluates files of records, in this process or on several cores, and writes the output files.

A worker process decodes pieces of the files and runs one shard. The pool keeps clocks, lateness and reading order, so
the output is byte-identical for any number of processes. It may import `monitor.decoding` and `monitor.core`.
"""
