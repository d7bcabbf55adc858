"""`callwarden follow`: rows of files that grow and rotate, and of database tables, into the topics.

`files` reads files and `tables` reads tables, both without Kafka. The rest maps what they read and writes it with the
positions in one transaction.
"""
