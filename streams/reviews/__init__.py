"""Reviews: what people decide on decisions, claimed in the ledger's database before it is sent to the judge."""
