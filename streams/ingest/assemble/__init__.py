"""Makes calls of the events in `callwarden.raw`: `callwarden assemble`.

It stands on `streams.ingest.partitions`, on the sources of `streams.ingest.http`, and on `monitor.adapters`, which has
the pure function from events to calls.
"""
