"""The dry run of an adapter: how it reads a file, with statistics for the author of a mapping.

`survey` is the entry point. It may import the rest of `monitor.adapters`, which does not import it.
"""
