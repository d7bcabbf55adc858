"""What the pool and its processes say to each other: pickled pairs, of what it is and of what it is about."""

from typing import Final

# To a process, with the arguments of the method that does it.
DECODE: Final = "decode"
PIECE: Final = "piece"
TAKE: Final = "take"
ADVANCE: Final = "advance"
FINISH: Final = "finish"

# From a process: a piece decoded, what a shard brought about, the end of a shard, or an error's traceback.
DECODED: Final = "decoded"
SINK: Final = "sink"
DONE: Final = "done"
ERROR: Final = "error"
