"""Turns other people's call and complaint files into wire records."""
