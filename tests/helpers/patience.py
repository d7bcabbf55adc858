"""How long a test waits for what must happen."""

PATIENCE_S = 600.0
"""A machine that is far slower than ours fits into it: only what hangs takes as long, and fails then."""

WAIT = f"{PATIENCE_S:g}"
"""The same, for the option `--wait`."""
