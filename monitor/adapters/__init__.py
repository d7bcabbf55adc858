"""Converts third-party call and complaint files to wire records. The entry point is `monitor.adapters.shipped`."""
