"""Everything that touches Kafka, a database, HTTP or a terminal.

All that decides lies in `monitor`, which this package hosts.
"""
