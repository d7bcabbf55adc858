"""Messages between the pool and its processes: pickled pairs of a message type and its content."""

from typing import Final

# To a process, with the arguments of the method of that name.
DECODE: Final = "decode"
PIECE: Final = "piece"
TAKE: Final = "take"
ADVANCE: Final = "advance"
BANS: Final = "bans"
FINISH: Final = "finish"

# From a process: a decoded piece, the output of a shard, the end of a shard, or the traceback of an error.
DECODED: Final = "decoded"
OUTPUT: Final = "output"
DONE: Final = "done"
ERROR: Final = "error"
