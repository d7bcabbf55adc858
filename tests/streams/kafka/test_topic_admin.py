"""The requirements of the topics: every mismatch is found, and reported with the command that fixes it, if there is
one.
"""

from dataclasses import replace

import pytest

from monitor.decoding.input_topics import INPUTS
from streams.kafka.topic_admin import (
    ExistingTopic,
    TopicMismatch,
    checked_settings,
    count_conflict,
    describe_mismatches,
    find_mismatches,
    for_workers,
    partitions_for,
    prefix_conflict,
    required_topics,
)
from streams.kafka.topic_names import BROADCAST, CONSOLE, INGEST, OUTPUTS
from streams.settings.load import Settings, load
from streams.topics.transaction_records import MAX_COPY_BYTES, MAX_RECORD_BYTES

SETTINGS = load({"bootstrap_servers": "kafka:9092", "input_prefix": "in.", "output_prefix": "out."})
# The broker's defaults where `topics create` sets nothing.
DEFAULTS = {
    "cleanup.policy": "delete",
    "retention.ms": "604800000",
    "retention.bytes": "-1",
    "message.timestamp.type": "CreateTime",
    "max.message.bytes": "1048588",
    "unclean.leader.election.enable": "false",
    "min.compaction.lag.ms": "0",
}


def made(settings: Settings = SETTINGS, partitions: int = 8) -> dict[str, ExistingTopic]:
    """The topics as `topics create` creates them."""
    return {
        topic.topic: ExistingTopic(
            topic.partitions or partitions,
            DEFAULTS | {config.name: config.value for config in topic.configs if config.created},
        )
        for topic in required_topics(settings)
    }


def changed(topic: str, partitions: int | None = None, **configs: str) -> dict[str, ExistingTopic]:
    found = made()
    named = {name.replace("_", "."): value for name, value in configs.items()}
    count = found[topic].partitions if partitions is None else partitions
    found[topic] = replace(found[topic], partitions=count, configs={**found[topic].configs, **named})
    return found


def only(found: dict[str, ExistingTopic]) -> TopicMismatch:
    (fault,) = find_mismatches(SETTINGS, found)
    return fault


@pytest.mark.parametrize(
    ("given", "output"),
    [
        (
            {"output_prefix": "canary"},
            "canarycontrol, canarystate and so on; expected `canary.`, as CALLWARDEN_OUTPUT",
        ),
        (
            {"input_prefix": "eu-1"},
            "eu-1cdr, eu-1complaints and so on; expected `eu-1.`, as CALLWARDEN_INPUT_PREFIX",
        ),
        ({"output_prefix": "canary."}, None),
        ({"input_prefix": "eu_", "output_prefix": "eu-"}, None),
        ({"output_prefix": ""}, None),
    ],
)
def test_a_prefix_that_would_run_into_the_names_is_reported_before_topics_are_made(
    given: dict[str, str], output: str | None
) -> None:
    settings = load(given)
    assert (output is None) == (prefix_conflict(settings, {}) is None)
    assert (output or "") in (prefix_conflict(settings, {}) or "")
    # Existing topics count by their name: a missing one among them can be created.
    some = {
        topic.topic: made(settings)[topic.topic]
        for topic in required_topics(settings)
        if topic.name in ("cdr", "state")
    }
    assert prefix_conflict(settings, some) is None


def test_all_topics_are_as_required_once_made() -> None:
    assert [topic.name for topic in required_topics(SETTINGS)] == [*INPUTS, *OUTPUTS, *BROADCAST, *INGEST, *CONSOLE]
    assert len(required_topics(SETTINGS)) == 21
    assert find_mismatches(SETTINGS, made()) == []
    assert find_mismatches(SETTINGS, made(partitions=3)) == []


def test_decisions_and_clocks_are_kept_for_good_and_inputs_carry_the_brokers_time() -> None:
    configs = {t.name: {config.name: config.value for config in t.configs} for t in required_topics(SETTINGS)}
    for name in ("enforcement", "clock"):
        assert configs[name]["cleanup.policy"] == "delete"
        assert (configs[name]["retention.ms"], configs[name]["retention.bytes"]) == ("-1", "-1")
    assert configs["state"]["cleanup.policy"] == "compact"
    for name in (*INPUTS, "control", "clock"):
        assert configs[name]["message.timestamp.type"] == "LogAppendTime"
    for name in ("enforcement", "state", "clock", "control", "reviews"):
        assert configs[name]["unclean.leader.election.enable"] == "false"
    assert configs["cdr"]["retention.ms"] == str(30 * 86_400_000)


@pytest.mark.parametrize(
    ("topic", "name", "value", "wanted"),
    [
        ("in.cdr", "cleanup.policy", "compact", "delete"),
        ("in.cdr", "cleanup.policy", "compact,delete", "delete"),
        ("in.reviews", "message.timestamp.type", "CreateTime", "LogAppendTime"),
        ("in.cdr", "retention.ms", "604800000", "2592000000"),
        ("in.cdr", "retention.bytes", "1000000", "-1"),
        ("out.control", "message.timestamp.type", "CreateTime", "LogAppendTime"),
        ("out.enforcement", "cleanup.policy", "compact", "delete"),
        ("out.enforcement", "retention.ms", "9999999999999", "-1"),
        ("out.enforcement", "retention.bytes", "1000000000", "-1"),
        ("out.clock", "retention.ms", "604800000", "-1"),
        ("out.clock", "message.timestamp.type", "CreateTime", "LogAppendTime"),
        *((f"in.{name}", "max.message.bytes", "1000000", "1048588") for name in INPUTS),
        ("out.control", "max.message.bytes", "1000000", "1048588"),
        ("out.state", "cleanup.policy", "delete", "compact"),
        ("out.state", "max.message.bytes", "1000000", "1048588"),
        ("out.dead-letter", "cleanup.policy", "compact", "delete"),
        ("out.dead-letter", "max.message.bytes", "1000000", "1048588"),
        ("out.late", "max.message.bytes", "1000000", "1048588"),
        ("out.ingest-keys", "cleanup.policy", "compact", "compact,delete"),
        ("out.ingest-keys", "retention.ms", "3600000", "172800000"),
        ("out.ingest-keys", "min.compaction.lag.ms", "0", "3600000"),
        ("out.raw", "retention.ms", "86400000", "604800000"),
        ("out.raw", "message.timestamp.type", "CreateTime", "LogAppendTime"),
        ("out.raw", "cleanup.policy", "compact", "delete"),
        ("out.raw-state", "cleanup.policy", "compact,delete", "compact"),
        ("out.follow", "cleanup.policy", "compact,delete", "compact"),
        ("out.owners", "cleanup.policy", "delete", "compact"),
        ("out.owners", "max.message.bytes", "1000000", "1048588"),
        *(
            (topic, "unclean.leader.election.enable", "true", "false")
            for topic in (
                *("out.enforcement", "out.state", "out.clock", "out.control", "in.reviews"),
                *("out.raw", "out.raw-state", "out.follow", "out.owners"),
            )
        ),
    ],
)
def test_a_setting_that_does_not_hold_is_reported_with_the_command_that_repairs_it(
    topic: str, name: str, value: str, wanted: str
) -> None:
    fault = only(changed(topic, **{name: value}))
    assert fault.topic == topic
    assert fault.wrong.startswith(f"{name} is {value}")
    assert f"expected {wanted}" in fault.wrong or f"expected at least {wanted}" in fault.wrong
    # kafka-configs.sh takes a list in brackets only, and splits at other commas.
    added = f"'{name}=[{wanted}]'" if "," in wanted else f"{name}={wanted}"
    line = (
        f"kafka-configs.sh --bootstrap-server kafka:9092 --alter --entity-type topics --entity-name {topic} "
        f"--add-config {added}"
    )
    assert line in fault.fix
    # The command does fix it.
    assert find_mismatches(SETTINGS, changed(topic, **{name: wanted})) == []


@pytest.mark.parametrize(
    ("topic", "name", "value"),
    [
        ("out.ingest-keys", "cleanup.policy", "delete,compact"),
        ("in.cdr", "retention.ms", "-1"),
        ("in.cdr", "retention.ms", str(400 * 86_400_000)),
        ("out.alerts", "retention.ms", "3600000"),
        ("out.state", "segment.bytes", "1073741824"),
        ("out.enforcement", "max.message.bytes", "10000000"),
    ],
)
def test_more_than_enough_and_what_is_a_matter_of_taste_are_no_faults(topic: str, name: str, value: str) -> None:
    assert find_mismatches(SETTINGS, changed(topic, **{name: value})) == []


@pytest.mark.parametrize("topic", ["in.cdr", "in.reviews", "out.control"])
def test_a_topic_that_is_too_small_for_those_that_write_to_it_stops_no_worker(topic: str) -> None:
    small = find_mismatches(SETTINGS, changed(topic, max_message_bytes="1000000"))
    assert [fault.topic for fault in small] == [topic]
    assert for_workers(small, SETTINGS) == []
    both = changed(topic, max_message_bytes="1000000", cleanup_policy="compact")
    [fault] = for_workers(find_mismatches(SETTINGS, both), SETTINGS)
    assert fault.wrong.startswith("cleanup.policy is compact")


def test_inputs_are_created_with_the_brokers_own_limit_which_may_be_larger() -> None:
    of_inputs = {
        topic.name: {config.name for config in topic.configs if config.created}
        for topic in required_topics(SETTINGS)
        if topic.name in INPUTS
    }
    assert all("retention.ms" in names and "max.message.bytes" not in names for names in of_inputs.values())


def test_a_shorter_retention_may_be_meant() -> None:
    assert "CALLWARDEN_INPUT_RETENTION" in only(changed("in.cdr", retention_ms="604800000")).fix
    meant = load({"input_prefix": "in.", "output_prefix": "out.", "input_retention_ms": "7d"})
    assert find_mismatches(meant, changed("in.cdr", retention_ms="604800000")) == []


def test_a_larger_input_asks_no_more_of_topics_to_which_the_heads_of_large_records_go() -> None:
    assert find_mismatches(SETTINGS, changed("in.findings", max_message_bytes="5000000")) == []
    assert int(made()["out.dead-letter"].configs["max.message.bytes"]) > MAX_RECORD_BYTES > MAX_COPY_BYTES


def test_missing_topics_are_reported_together() -> None:
    found = made()
    del found["in.cdr"], found["out.late"]
    assert describe_mismatches(find_mismatches(SETTINGS, found)) == (
        "in.cdr, out.late: there is no such topic\n"
        "  To fix it: callwarden topics create --input-prefix in. --output-prefix out.\n"
        "  If there is one, Kafka's ACLs hide it: allow the user of this program Describe on it"
    )


def test_topics_of_the_usual_names_are_created_without_options() -> None:
    fixes = {fault.fix.splitlines()[0] for fault in find_mismatches(load({}), {})}
    assert fixes == {"To fix it: callwarden topics create"}


def test_all_topics_have_as_many_partitions_as_the_state() -> None:
    assert partitions_for(SETTINGS, made(partitions=5)) == 5
    grown = only(changed("in.cdr", partitions=12))
    assert grown.wrong == "it has 12 partitions; expected 8, as in all others"
    assert "If it has records, it cannot be fixed: Kafka cannot remove partitions" in grown.fix
    assert "CALLWARDEN_INPUT_PREFIX" in grown.fix
    assert "If it has records, it cannot be fixed: a tenant's" in only(changed("in.cdr", partitions=4)).fix
    assert only(changed("out.alerts", partitions=4)).fix == (
        "To fix it: kafka-topics.sh --bootstrap-server kafka:9092 --topic out.alerts --alter --partitions 8"
    )


def test_the_topic_of_owners_has_one_partition() -> None:
    for partitions in (1, 5):
        assert made(partitions=partitions)["out.owners"].partitions == 1
        assert find_mismatches(SETTINGS, made(partitions=partitions)) == []
    fault = only(changed("out.owners", partitions=8))
    assert fault.wrong == "it has 8 partitions; expected 1: workers write and read partition 0"
    assert "callwarden topics create" in fault.fix


def test_before_there_is_a_state_the_platforms_topics_say_how_many() -> None:
    inputs = {topic: existing for topic, existing in made(partitions=24).items() if topic.startswith("in.")}
    assert partitions_for(SETTINGS, inputs) == 24
    some = {"in.cdr": inputs["in.cdr"]}
    assert partitions_for(SETTINGS, some) == 24
    assert partitions_for(SETTINGS, some | {"in.reviews": replace(inputs["in.cdr"], partitions=2)}) == 8
    assert partitions_for(SETTINGS, {}) == 8


def test_inputs_that_differ_are_reported_before_anything_is_made_beside_them() -> None:
    found = {topic: existing for topic, existing in made(partitions=3).items() if topic.startswith("in.")}
    assert count_conflict(SETTINGS, {}) is None
    assert count_conflict(SETTINGS, found) is None
    found["in.reviews"] = replace(found["in.reviews"], partitions=2)
    odd = count_conflict(SETTINGS, found)
    assert odd is not None
    assert "in.cdr 3" in odd
    assert "in.reviews 2" in odd
    # If a state exists, it determines the count, and the other topics do not match.
    assert count_conflict(SETTINGS, found | {"out.state": made()["out.state"]}) is None


def test_what_is_judged_is_asked_for() -> None:
    assert checked_settings(required_topics(SETTINGS)) == sorted(DEFAULTS)
