"""Verification of the ledger: its chains recomputed, and compared with the topics.

It imports the rest of the ledger.
"""
