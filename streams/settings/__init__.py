"""Settings: which there are, how each is read and checked, where its value comes from.

It imports `monitor.text` and `monitor.policy`.
"""
