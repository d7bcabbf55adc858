"""The texts of notifications for Chinese readers."""

import re

from helpers.english_sentences import english_in
from monitor.policy.load import load
from schemas.outputs import Reason
from streams.consumers.data_loss import RecordsLost
from streams.consumers.notify.messages.data_loss_message import records_lost
from streams.consumers.notify.messages.message import Message
from streams.consumers.notify.sample_messages import sample_messages
from streams.kafka.api import TP

NOW = 1_772_452_800_000


def texts_of(message: Message) -> list[Reason]:
    return [message.title, *message.lines, *(item.text for item in message.items)]


def test_no_kind_of_message_has_an_english_sentence_in_its_chinese_text() -> None:
    messages = sample_messages(load(None), NOW)
    # Each way in which records are lost has its own sentence.
    ways = [RecordsLost(TP("t", 0), 17, 40), RecordsLost(TP("t", 0), 40, 17), RecordsLost(TP("t", 0), 17, 40, True)]
    messages += [records_lost(lost, False, NOW) for lost in ways]
    # Commands are the same in both languages.
    said = [
        re.sub("callwarden reviews (list|show [a-z-]+)", "", text.zh)
        for message in messages
        for text in texts_of(message)
    ]
    assert len(said) > 40
    assert [text for text in said if english_in(text) or not re.search("[\u4e00-\u9fff]", text)] == []
