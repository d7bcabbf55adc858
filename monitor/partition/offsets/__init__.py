"""What a source keeps by offset: sets of offsets, and the review keys in force from one offset to the next.

May import `monitor.partition.journal` and what lies below the package.
"""
