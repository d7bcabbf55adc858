"""What is known of each tenant besides its calls, and how it is stored in entries and pages.

It may import `calls`.
"""
