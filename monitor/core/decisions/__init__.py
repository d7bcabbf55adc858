"""Decisions and their lifecycle: pending, final, lapsed, reviewed, reversed.

It may import `windows`, `tenants` and `calls`.
"""
