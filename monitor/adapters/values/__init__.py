"""The values of a mapping: times, telephone numbers and pseudonyms.

It imports nothing else of `monitor.adapters` but errors.
"""
