"""Policies: what the workers apply, drafts and their checks, proposals, and the commands that change the policy.

It may import everything of the console but the pages.
"""
