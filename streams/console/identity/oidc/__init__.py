"""Signing in with a provider by OpenID Connect: the code flow with PKCE.

Authlib has the protocol's parts; the requests are ours, so that each has a deadline and a limit.
"""
