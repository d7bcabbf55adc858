"""Text for people: masking, display of untrusted text, durations, timestamps, private files, wording
of errors of a stored state.

The lowest package of `monitor`; it imports nothing of Callwarden.
"""
