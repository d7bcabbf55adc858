"""Labelled traffic for tests, tuning and the demo: honest and bad tenants, as the wire records of the contract."""
