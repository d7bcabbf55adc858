"""The contract pack: golden events, judged by the real shard, and what a right consumer answers after each."""
