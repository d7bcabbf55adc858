"""Commands on policies: check, show, compare, explain, and change the policy of the workers.

It may import everything but the other groups.
"""
