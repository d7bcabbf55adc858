"""What the decisions of a partition wait for, until when, and the command that brings them forward.

Pure functions of observations; they decide nothing. It may import the rest of `monitor.partition`.
"""
