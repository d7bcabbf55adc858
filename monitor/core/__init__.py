"""The core: counts calls in panes, evaluates rules, keeps a record of each tenant, and decides.

`shard` is the entry point. Each package may import those after it in this order: `alerts` and `measures`, `rules`,
`decisions`, `windows` and `owners`, `tenants`, `talk`, `calls`. They also import `monitor.policy`, `monitor.reasons`
and `schemas`.
"""
