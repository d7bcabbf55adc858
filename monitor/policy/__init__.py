"""The policy: what is prohibited, which rules measure it, and the consequences."""
