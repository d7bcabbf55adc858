"""Decodes pieces of a source into columns of calls and other records, and applies the late line.

It may import `monitor.core`, `monitor.adapters` and their dependencies.
"""
