"""What tests of several folders share: the shard's and the ledger's samples and harnesses, topics in memory."""
