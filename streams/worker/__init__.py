"""The worker: a Faust app whose consumer loop feeds one partition owner for each partition number.

It imports `streams.topics`, `streams.kafka`, `streams.metrics`, `streams.runtime` and `monitor`.
"""
