"""Billing: whose refunds are frozen, by the one sentence that the contract has for it."""
