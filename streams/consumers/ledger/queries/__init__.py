"""Queries on the ledger: cases with their history, and the export of entries.

It imports the ledger's tables and `monitor`.
"""
