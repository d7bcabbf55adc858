"""Verification of the ledger: recomputes its chains and compares them with the topics.

It imports the rest of the ledger.
"""
