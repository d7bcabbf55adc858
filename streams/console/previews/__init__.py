"""Previews of a policy: both policies judge the same records in a child process with limits, and the result is stored.

`runner` starts the processes of one console, `child` is their program, `judging` what it computes. It imports
`monitor.whatif` and `streams.ops`, never `streams.console.pages`.
"""
