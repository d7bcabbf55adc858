"""Text for people: masking, display of untrusted text, durations, timestamps, private files.

The lowest package of `monitor`; it imports nothing of Callwarden.
"""
