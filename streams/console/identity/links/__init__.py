"""Signing in by links that are valid once, on a console that only this machine can reach.

It imports what `streams.console.identity` has of accounts and sessions.
"""
