"""Cases: the queue, claims, notes, and the verdicts that wait to be sent.

It imports the console's tables, `streams.reviews` and `streams.consumers`, no page.
"""
