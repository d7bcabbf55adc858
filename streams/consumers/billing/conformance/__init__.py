"""The contract pack: golden events, decided by the real shard, and a correct consumer's answers after each."""
