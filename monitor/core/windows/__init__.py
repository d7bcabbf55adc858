"""Panes and windows: running sums and distinct counts per tenant, and the storage of panes.

It may import `tenants` and `calls`.
"""
