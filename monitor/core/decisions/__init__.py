"""Decisions and their life cycle: pending, final, lapsed, reviewed, reversed.

It may import `windows`, `tenants` and `calls`.
"""
