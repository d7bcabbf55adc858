"""Commands of the consumers: billing, ledger, notify, reviews.

It may import everything but the other groups.
"""
