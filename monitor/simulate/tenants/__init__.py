"""The simulated tenants: who they are, how they call, what happens to them, as data and columns.

It imports the settings and texts of the simulator and `schemas`.
"""
