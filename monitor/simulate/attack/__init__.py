"""Labelled traffic to try a policy on: strategies against it, offenders, odd businesses and ordinary tenants.

Each tenant is data: streams of calls whose figures are ranges, drawn once a tenant. It imports the simulator's parts.
"""
