"""The ingest service: takes records of other systems and writes them to the input topics.

`http` takes them from requests, `follow` from growing files and tables. It stands on `streams.kafka`,
`streams.topics` and the hosting of `streams.consumers.service`.
"""
