"""The ledger: an append-only, chained record of every decision, review and reversal, and of what people did."""
