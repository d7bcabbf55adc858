"""The notifier: sends alerts and decisions to people. Each is queued once and delivered at least once.

`rules` decides what to send and builds it from `messages`; both are free of I/O and of the clock. `handler` updates
the tenant states (`tenants`) and the `outbox` in one transaction. `delivery` empties the outbox to the `channels`.
"""
