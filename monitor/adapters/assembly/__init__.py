"""Makes one call of several records, events or versions: a pure function of their log.

It imports `schemas`, and of `monitor.adapters` the errors and the mapping language.
"""
