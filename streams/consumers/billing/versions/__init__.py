"""The migrations of billing's tables, by number. A released migration never changes."""
