"""Billing: whose refunds are frozen and whose orders cannot be cancelled, by the contract's one rule for billing."""
