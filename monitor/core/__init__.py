"""The core: counts calls in panes, evaluates rules, keeps the record of each tenant, decides.

`shard` is the entrance. The packages stand on one another in this order: `alerts`, `rules`, `decisions`, `windows`,
`tenants`, `calls`. They import `monitor.policy`, `monitor.reasons` and `schemas`.
"""
