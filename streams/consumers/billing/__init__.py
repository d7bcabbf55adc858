"""Billing: whose refunds are frozen, by the contract's one rule for billing."""
