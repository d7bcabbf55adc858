"""The conformance pack: events of the real shard, and the expected answers after each."""
