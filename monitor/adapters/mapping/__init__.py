"""The mapping language: reads a mapping file, checks it, and compiles its fields.

It imports `schemas`, `monitor.text`, `monitor.policy` and `monitor.adapters.values`.
"""
