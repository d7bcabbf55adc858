"""Messages between the pool and its processes: pickled pairs of a message type and its content."""

from typing import Final

PART: Final = "part"
"""From a process: a `ReplayPart`."""
BANS: Final = "bans"
"""From a process: the bans of owners that its tenants have caused. It waits for an answer, those of the others."""
DONE: Final = "done"
"""From a process that has judged all input: the number of its tenants, and the threshold distances, if requested."""
ERROR: Final = "error"
"""From a process that has failed: an error of the input, else None; and the traceback."""
