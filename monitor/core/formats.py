"""The formats of a stored state, by number."""

from typing import Final

READS: Final = (2, 3)
"""The formats of a head: that of the release before this one, and its own. It writes either."""
WRITES: Final = READS[0]
"""The one that it writes until it is told otherwise: the release before can go on with that."""
