"""The process: logging, shutdown, clocks, child processes, the HTTP server.

The lowest package of `streams`; it imports `monitor.text` alone.
"""
