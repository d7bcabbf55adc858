"""Reads a policy file: checks keys, types and values, and reports every fault with line and column.

The entry point is `monitor.policy.load`. It imports `monitor.text` and the policy model.
"""
