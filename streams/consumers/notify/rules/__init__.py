"""Notification rules: alerts, decisions and the time in, messages out. No clock and no I/O.

It imports the messages and `monitor`.
"""
