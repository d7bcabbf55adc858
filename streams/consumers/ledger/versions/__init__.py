"""The ledger's migrations. A released migration never changes."""
