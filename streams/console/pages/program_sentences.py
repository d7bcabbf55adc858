"""The Chinese of the sentences that workers and other programs write in English, in records and on their pages."""

from typing import Final

from monitor.partition.refusal_wording import REFUSAL_WORDING
from monitor.partition.waiting.wait_wording import WAIT_WORDING
from monitor.text.known_sentences import KnownSentences
from monitor.text.state_wording import STATE_WORDING
from streams.wording.consumer_wording import CONSUMER_WORDING
from streams.wording.kafka_wording import KAFKA_WORDING
from streams.wording.topic_wording import TOPIC_WORDING
from streams.wording.worker_wording import WORKER_WORDING

PROGRAM_WORDING: Final = (
    WAIT_WORDING, REFUSAL_WORDING, TOPIC_WORDING, WORKER_WORDING, CONSUMER_WORDING, STATE_WORDING, KAFKA_WORDING,
)  # fmt: skip
"""The tables of these sentences."""

PROGRAM_SENTENCES: Final = KnownSentences(*(table.values() for table in PROGRAM_WORDING))
