"""The process: logging, shutdown, clocks, child processes, the HTTP server.

The lowest package of `streams`; it imports only `monitor.text`.
"""
