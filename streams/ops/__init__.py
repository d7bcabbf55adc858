"""Operations on topics: control commands, dead letters, replay and preflight from topics.

It imports `streams.topics`, `streams.kafka` and `monitor`.
"""
