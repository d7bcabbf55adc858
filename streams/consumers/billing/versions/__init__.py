"""The migrations of billing's tables, in the order of their numbers. A migration that was released never changes."""
