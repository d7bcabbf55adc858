"""The audit: judges the input topics again and compares the result with the published decisions."""
