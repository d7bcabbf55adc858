"""Delivery of messages: empties the outbox to each channel, with backoff, rate limits and reminders.

It imports the channels, the outbox and the messages.
"""
