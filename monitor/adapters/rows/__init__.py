"""The input formats of mappings: splits CSV and JSON into rows, each with its bytes and its line.

It imports nothing of Callwarden but errors.
"""
