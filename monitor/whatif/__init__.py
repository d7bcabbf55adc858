"""What-if: two policies on the same records, preflight of a policy, differences of events.

It may import `monitor.replay` and what that depends on.
"""
