"""Makes one call of several records: a pure function of the log of events.

It imports `schemas`, and of `monitor.adapters` the errors and the mapping language.
"""
