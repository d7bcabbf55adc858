"""Commands for operators: worker, topics, state, audit, control commands.

It may import everything but the other groups.
"""
