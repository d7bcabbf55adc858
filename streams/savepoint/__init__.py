"""Savepoints: exports the stored state of all partitions to a file, restores it, and rescales it."""
