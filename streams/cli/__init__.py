"""The command line; heavy imports stay inside the commands.

A folder for each group of commands; beside them what they share. It may import everything.
"""
