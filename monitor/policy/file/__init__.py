"""Reads a policy file: keys, types and values checked, every fault with its line and column.

`monitor.policy.load` is the entrance. It imports `monitor.text` and the policy model.
"""
