"""The catalogue: every metric that a program of ours shows Prometheus, told once. All of them are made from it."""

from streams.metrics.consuming import CONSUMING
from streams.metrics.entries import Entry
from streams.metrics.judging import JUDGING

CATALOGUE: tuple[Entry, ...] = (*JUDGING, *CONSUMING)
BY_NAME = {entry.name: entry for entry in CATALOGUE}
