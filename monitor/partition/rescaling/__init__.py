"""Rescaling: converts the states of all partitions to another number of partitions.

`rescale` is the entry point. It may import the rest of `monitor.partition`, which does not import it.
"""
