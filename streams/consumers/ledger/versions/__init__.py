"""The ledger's migrations. A migration that was released never changes."""
