"""The data of each tenant besides its calls, and its storage in entries and pages.

It may import `calls`.
"""
