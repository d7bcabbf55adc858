"""Helpers that tests of several folders share: samples and harnesses of the shard and the ledger, topics in memory."""
