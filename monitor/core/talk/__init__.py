"""Talk times of answered calls as histograms, and their medians.

May import `monitor.core.calls` and what that may import.
"""
