"""Panes and windows: running sums and distinct counts for each tenant, and how panes are stored.

It may import `tenants` and `calls`.
"""
