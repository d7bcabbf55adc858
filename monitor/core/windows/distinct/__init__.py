"""Distinct counts: the keys of callees, callers and consents per tenant, counted exactly or by a sample.

It may import `tenants` and `calls`.
"""
