"""Owners of tenants: which tenants belong to whom, and the bans that follow an owner to its other tenants.

It may import `tenants`.
"""
