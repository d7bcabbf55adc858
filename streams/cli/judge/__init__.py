"""Commands on files: replay, backtest, report, simulate, demo, map.

It may import everything but the other groups.
"""
