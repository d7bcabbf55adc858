"""The console on the files of a replay, without Kafka: reviews are appended to a file, and the files judged again.

It imports the rest of `streams.console`, `streams.consumers`, and `monitor.replay`.
"""
