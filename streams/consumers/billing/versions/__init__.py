"""The migrations of billing's tables, in the order of their numbers. What was released is not changed any more."""
