"""Edits the text of a policy file in place: only the edited entry changes, comments and order stay.

`nodes` finds where each value stands, `text` changes values, `exceptions` adds, changes and removes exceptions.
"""
