"""The commands of `callwarden reviews`, which `streams.cli.consume.reviews` registers, and what they share.

It may import what the package above it may.
"""
