"""Shared by all tests. Its being here puts this folder on the path, so that `import oracle` works everywhere."""
