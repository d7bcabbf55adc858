"""The message: what is sent, the same for every channel, and its labels.

It imports `monitor` alone.
"""
