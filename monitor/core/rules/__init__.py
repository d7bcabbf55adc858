"""Rule evaluation over closed windows: which tenants meet the conditions, and what follows.

It may import `decisions`, `windows`, `tenants` and `calls`.
"""
