"""Intake: handles the records of the followed topics, in the transaction that advances the position.

It imports the console's tables and `streams.consumers`.
"""
