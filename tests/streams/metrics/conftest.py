"""The shard's samples, for tests of what is told of shards."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "shard"))
