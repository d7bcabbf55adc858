"""Hourly measures: what the rules measured of each tenant that called in an hour, as JSON.

It may import `rules` and what they may.
"""
