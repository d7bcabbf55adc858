"""The door: takes records of other systems and writes them to the input topics.

`http` takes them from requests. It stands on `streams.kafka`, `streams.topics` and the hosting of
`streams.consumers.service`.
"""
