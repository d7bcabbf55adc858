"""The pages of identity: signing in, one's own account, users and roles, and the log of actions."""
