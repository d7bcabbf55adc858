"""The signatures of webhooks, a module for each scheme. A scheme says whether a request comes from the holder of a
secret, and gives the key by which a repetition is recognised. It knows nothing of records and of Kafka.
"""
