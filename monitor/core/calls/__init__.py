"""Calls as columns: fields, keys of telephone numbers, local hours, deduplication, evidence.

The lowest package of the core; it imports `monitor.policy` and `schemas`.
"""
