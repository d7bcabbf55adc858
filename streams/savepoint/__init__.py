"""The stored state as a whole: taken out of its topic into a file, and brought back from there."""
