"""The audit: the input topics judged again, and compared with what stands in the topics of decisions."""
