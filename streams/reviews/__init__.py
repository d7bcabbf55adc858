"""Reviews: people's verdicts on decisions, reserved in the ledger's database before they are sent."""
