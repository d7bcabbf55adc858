"""Everything that touches Kafka, a database, HTTP or a terminal.

The code that decides is in `monitor`; this package runs it.
"""
