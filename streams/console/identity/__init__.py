"""Identity of the console: accounts, sign-in, sessions, roles, permissions, and the second person of a decision.

It may import `streams.console.tables`, `outbox` and `actions`, never a page.
"""
