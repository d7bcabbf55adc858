"""The required topics and their settings as a table, their mismatches, and the commands that fix these."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from monitor.decoding.input_topics import INPUTS
from monitor.text.durations import DAY, HOUR, format_duration
from streams.kafka.topic_changes import GROWN_PAGE
from streams.kafka.topic_names import BROADCAST, CONSOLE, INGEST, OUTPUTS, TopicNames
from streams.settings.load import Settings, variable

_ENDLESS: Final = "-1"
_MESSAGE: Final = 1_048_588  # Kafka's own default; panes of the state are cut to fit it
_HIDDEN: Final = "If there is one, Kafka's ACLs hide it: allow the user of this program Describe on it"
_IF_MEANT: Final = "\n  If it is intended, set CALLWARDEN_INPUT_RETENTION for `topics` and for the workers"


class ConfigCheck(Enum):
    """How a topic's setting is compared with the one in the table."""

    EXACTLY = "exactly"
    AT_LEAST = "at least"  # -1 is unlimited
    FREELY = "freely"  # only set by `topics create`, never checked


@dataclass(frozen=True, slots=True)
class TopicConfig:
    """A setting of a topic by Kafka's name, and what happens if it has another value.

    ``stops_workers``: whether workers do not start then. ``created``: whether `topics create` sets it.
    """

    name: str
    value: str
    judged: ConfigCheck
    otherwise: str = ""
    stops_workers: bool = True
    created: bool = True


@dataclass(frozen=True, slots=True)
class RequiredTopic:
    """A topic by its bare and its full name, with its settings.

    ``partitions`` is the number that it must have; None: as many as the inputs.
    """

    name: str
    topic: str
    configs: tuple[TopicConfig, ...]
    partitions: int | None = None


@dataclass(frozen=True, slots=True)
class ExistingTopic:
    """A topic of the cluster. ``configs`` has the value of each setting in the table."""

    partitions: int
    configs: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class TopicMismatch:
    """What is wrong with a topic, and how to fix it, or that it cannot be fixed.

    ``grown``: it has more partitions than the others; workers use only those that all topics have.
    ``stops_workers``: whether workers do not start before it is fixed.
    """

    topic: str
    wrong: str
    fix: str
    grown: bool = False
    stops_workers: bool = True


def describe_mismatches(faults: Iterable[TopicMismatch]) -> str:
    """The mismatches as text; topics with the same mismatch and the same fix are listed together."""
    same: dict[tuple[str, str], list[str]] = {}
    for fault in faults:
        same.setdefault((fault.wrong, fault.fix), []).append(fault.topic)
    return "\n".join(f"{', '.join(topics)}: {wrong}\n  {fix}" for (wrong, fix), topics in same.items())


def _exactly(name: str, value: str, otherwise: str) -> TopicConfig:
    return TopicConfig(name, value, ConfigCheck.EXACTLY, otherwise)


def _at_least(name: str, value: int | str, otherwise: str) -> TopicConfig:
    return TopicConfig(name, str(value), ConfigCheck.AT_LEAST, otherwise)


def _freely(**configs: float | str) -> tuple[TopicConfig, ...]:
    return tuple(TopicConfig(name.replace("_", "."), str(value), ConfigCheck.FREELY) for name, value in configs.items())


def _kept(policy: str, otherwise: str) -> TopicConfig:
    return _exactly("cleanup.policy", policy, otherwise)


_DELETE = _kept("delete", "compaction would drop all but a tenant's newest record")
_BY_TIME_ALONE = _exactly("retention.bytes", _ENDLESS, "records would be deleted too early")
_LOG_TIME = _exactly(
    "message.timestamp.type", "LogAppendTime", "a producer with a wrong clock would move the partition's clock"
)
_FITS = _at_least("max.message.bytes", _MESSAGE, "a transaction with a large record would fail and stop its partition")
_COMMANDS_FIT = replace(_FITS, otherwise="a large policy could not be sent to the workers", stops_workers=False)
# A broker's default may be larger, and the platform's producers may rely on it.
_INPUTS_FIT = replace(
    _FITS, otherwise="ingest, follow, bridge and reviews could not write to it", stops_workers=False, created=False
)
_NEVER_CUT = _exactly(
    "unclean.leader.election.enable",
    "false",
    "a broker that is behind could become the leader and truncate committed records",
)


def required_topics(settings: Settings) -> list[RequiredTopic]:
    """All topics of section 1 of the contract, inputs first."""
    names = TopicNames.from_settings(settings)
    inputs = (
        _DELETE,
        _at_least("retention.ms", settings.input_retention_ms, "decisions could not be recomputed"),
        _BY_TIME_ALONE,
        _LOG_TIME,
        _INPUTS_FIT,
    )
    for_good = (_at_least("retention.ms", _ENDLESS, "decisions could not be accounted for"), _BY_TIME_ALONE)
    outputs: dict[str, tuple[TopicConfig, ...]] = {
        "control": (
            _DELETE,
            _at_least("retention.ms", 400 * DAY, "a command could expire before a worker reads it"),
            _BY_TIME_ALONE,
            _LOG_TIME,
            _COMMANDS_FIT,
            _NEVER_CUT,
        ),
        "state": (
            _kept("compact", "the state would expire, or never shrink"),
            _FITS,
            _NEVER_CUT,
            # The cleaner skips the newest segment: small segments, so that there is little to read at the start.
            *_freely(segment_bytes=16 << 20, segment_ms=HOUR, min_cleanable_dirty_ratio=0.1, delete_retention_ms=DAY),
        ),
        "clock": (_DELETE, *for_good, _LOG_TIME, _FITS, _NEVER_CUT),
        "enforcement": (_DELETE, *for_good, _FITS, _NEVER_CUT),
        "shadow": (_DELETE, _FITS, *_freely(retention_ms=400 * DAY)),
        "evidence": (_DELETE, _FITS, *_freely(retention_ms=400 * DAY)),
        "measures": (_DELETE, _FITS, *_freely(retention_ms=35 * DAY)),
        "alerts": (_DELETE, _FITS, *_freely(retention_ms=30 * DAY)),
        # Whatever the inputs accept: `streams.topics.transaction_records` truncates larger records.
        "late": (_DELETE, _FITS, *_freely(retention_ms=30 * DAY)),
        "dead-letter": (_DELETE, _FITS, *_freely(retention_ms=90 * DAY)),
        "owners": (
            _kept("compact", "bans of owners would expire, or the topic would never shrink"),
            _FITS,
            _NEVER_CUT,
            *_freely(segment_bytes=16 << 20, segment_ms=DAY, min_cleanable_dirty_ratio=0.1),
        ),
        "actions": (
            _kept("delete", "compaction would drop all but a person's newest action"),
            _at_least("retention.ms", _ENDLESS, "what people did could not be accounted for"),
            _BY_TIME_ALONE,
            _exactly("message.timestamp.type", "LogAppendTime", "actions would carry no time but the console's own"),
            _FITS,
            _NEVER_CUT,
        ),
        "ingest-keys": (
            _kept("compact,delete", "keys would be forgotten too early, or never"),
            _at_least("retention.ms", 2 * DAY, "a repeated request could be written twice"),
            _BY_TIME_ALONE,
            # All claims of a key are needed until its request is written.
            _at_least("min.compaction.lag.ms", HOUR, "a request could be written twice"),
            _LOG_TIME,
            _FITS,
            _NEVER_CUT,
            *_freely(segment_bytes=64 << 20, segment_ms=6 * HOUR),
        ),
        "raw": (
            _kept("delete", "compaction would drop all but a call's newest event"),
            _at_least("retention.ms", 7 * DAY, "events of a call that is still open would be lost"),
            _BY_TIME_ALONE,
            _LOG_TIME,
            _FITS,
            _NEVER_CUT,
        ),
        "raw-state": (
            _kept("compact", "open calls would be lost"),
            _FITS,
            _NEVER_CUT,
            *_freely(segment_bytes=16 << 20, segment_ms=HOUR, min_cleanable_dirty_ratio=0.1, delete_retention_ms=DAY),
        ),
        "follow": (
            _kept("compact", "positions would be lost, and rows written twice"),
            _FITS,
            _NEVER_CUT,
            *_freely(segment_bytes=16 << 20, segment_ms=HOUR, min_cleanable_dirty_ratio=0.1, delete_retention_ms=DAY),
        ),
    }
    return [
        *(
            RequiredTopic(name, topic, (*inputs, _NEVER_CUT) if name == "reviews" else inputs)
            for name, topic in zip(INPUTS, names.inputs, strict=True)
        ),
        *(RequiredTopic(name, names.output(name), outputs[name]) for name in OUTPUTS),
        *(RequiredTopic(name, names.output(name), outputs[name], 1) for name in BROADCAST),
        *(RequiredTopic(name, names.output(name), outputs[name]) for name in INGEST),
        *(RequiredTopic(name, names.output(name), outputs[name], 1) for name in CONSOLE),
    ]


def for_workers(faults: Iterable[TopicMismatch], settings: Settings) -> list[TopicMismatch]:
    """The mismatches of the topics that workers use, but for those of settings that only others need."""
    names = TopicNames.from_settings(settings)
    others = {names.output(name) for name in (*INGEST, *CONSOLE)}
    return [fault for fault in faults if fault.topic not in others and fault.stops_workers]


def checked_settings(wanted: Iterable[RequiredTopic]) -> list[str]:
    """The settings that `find_mismatches` needs of every topic."""
    return sorted(
        {config.name for topic in wanted for config in topic.configs if config.judged is not ConfigCheck.FREELY}
    )


def partitions_for(settings: Settings, found: Mapping[str, ExistingTopic], stored: int | None = None) -> int:
    """The number of partitions that all topics must have.

    That of the stored state (``stored``), whatever its topic has by now; without a state that of its topic; without
    the topic that of the input topics, if they agree; else that of the settings.
    """
    if stored is not None:
        return stored
    names = TopicNames.from_settings(settings)
    state = found.get(names.output("state"))
    if state is not None:
        return state.partitions
    counts = {found[topic].partitions for topic in names.inputs if topic in found}
    return counts.pop() if len(counts) == 1 else settings.partitions


def count_conflict(settings: Settings, found: Mapping[str, ExistingTopic]) -> str | None:
    """Why no number of partitions fits the topics to create: the input topics differ. None if one does."""
    names = TopicNames.from_settings(settings)
    counts = {topic: found[topic].partitions for topic in names.inputs if topic in found}
    if names.output("state") in found or len(set(counts.values())) <= 1:
        return None
    tool = f"kafka-topics.sh --bootstrap-server {settings.bootstrap_servers}"
    return (
        "expected the same number of partitions in all input topics, got "
        f"{', '.join(f'{topic} {count}' for topic, count in counts.items())}.\n"
        f"  If one is empty: {tool} --delete --topic TOPIC; then: callwarden topics create. If none is: use new ones, "
        "by CALLWARDEN_INPUT_PREFIX"
    )


def prefix_conflict(settings: Settings, found: Mapping[str, ExistingTopic]) -> str | None:
    """Why a prefix would merge with the names of the topics to create (it ends with a letter or a digit), or None.

    A prefix that has topics already is accepted.
    """
    names = TopicNames.from_settings(settings)
    ours = [names.output(name) for name in (*OUTPUTS, *BROADCAST, *INGEST, *CONSOLE)]
    for field, prefix, topics in (
        ("input_prefix", settings.input_prefix, names.inputs),
        ("output_prefix", settings.output_prefix, ours),
    ):
        if prefix[-1:].isalnum() and not any(topic in found for topic in topics):
            return (
                f"with the prefix `{prefix}` topics would be named {topics[0]}, {topics[1]} and so on; expected "
                f"`{prefix}.`, as {variable(field)} or by --{field.replace('_', '-')}"
            )
    return None


def find_mismatches(
    settings: Settings, found: Mapping[str, ExistingTopic], stored: int | None = None
) -> list[TopicMismatch]:
    """All mismatches, in the order of the table. ``found`` has the existing topics.

    ``stored`` is the number of partitions of the stored state, None if there is none.
    """
    wanted, servers = required_topics(settings), settings.bootstrap_servers
    partitions = partitions_for(settings, found, stored)
    faults = []
    for topic in wanted:
        existing = found.get(topic.topic)
        if existing is None:
            fix = f"To fix it: {_creation(settings)}\n  {_HIDDEN}"
            faults.append(TopicMismatch(topic.topic, "there is no such topic", fix))
            continue
        if topic.partitions is not None:
            if existing.partitions != topic.partitions:
                faults.append(_of_broadcast(topic.topic, existing.partitions, topic.partitions, servers))
        elif existing.partitions != partitions:
            faults.append(_of_partitions(topic, existing.partitions, partitions, servers, stored is not None))
        configs = [config for config in topic.configs if config.judged is not ConfigCheck.FREELY]
        for fault in _of_configs(topic.topic, configs, existing.configs, servers):
            meant = topic.name in INPUTS and fault.wrong.startswith("retention.ms")
            faults.append(replace(fault, fix=fault.fix + _IF_MEANT) if meant else fault)
    return faults


def _creation(settings: Settings) -> str:
    """The command that creates the topics. Prefixes are named: options of one command are unknown to the next."""
    given = [(name, getattr(settings, name)) for name in ("input_prefix", "output_prefix")]
    options = [
        f" --{name.replace('_', '-')} {prefix}"
        for name, prefix in given
        if prefix != Settings.model_fields[name].default
    ]
    return "".join(["callwarden topics create", *options])


def _of_partitions(topic: RequiredTopic, are: int, should_be: int, servers: str, stored: bool) -> TopicMismatch:
    wrong = f"it has {are} partitions; expected {should_be}, as in all others"
    tool = f"kafka-topics.sh --bootstrap-server {servers} --topic {topic.topic}"
    if stored and are > should_be:
        read = topic.name in INPUTS or topic.name == "control"
        fix = (
            f"Kafka cannot remove partitions, and records in partitions {should_be} and above are not read: "
            f"callwarden state move, see {GROWN_PAGE}"
            if read
            else f"No action is needed: partitions {should_be} and above are not used"
        )
        return TopicMismatch(topic.topic, wrong, fix, grown=True)
    if are < should_be and (stored or topic.name not in INPUTS):
        return TopicMismatch(topic.topic, wrong, f"To fix it: {tool} --alter --partitions {should_be}")
    why = "a tenant's records would be in two partitions" if are < should_be else "Kafka cannot remove partitions"
    return TopicMismatch(
        topic.topic,
        wrong,
        f"If it has records, it cannot be fixed: {why}. Then start over under other names, with "
        "CALLWARDEN_INPUT_PREFIX, CALLWARDEN_OUTPUT_PREFIX and CALLWARDEN_APPLICATION_ID.\n"
        f"  If it is empty: {tool} --delete; then: callwarden topics create",
    )


def _of_broadcast(topic: str, are: int, should_be: int, servers: str) -> TopicMismatch:
    tool = f"kafka-topics.sh --bootstrap-server {servers} --topic {topic}"
    return TopicMismatch(
        topic,
        f"it has {are} partitions; expected {should_be}: workers write and read partition 0",
        f"If workers never used it: {tool} --delete; then: callwarden topics create. Otherwise copy its partition 0 "
        "first, and write that to the new topic",
    )


def _of_configs(
    topic: str, configs: Iterable[TopicConfig], are: Mapping[str, str], servers: str
) -> Iterator[TopicMismatch]:
    tool = f"kafka-configs.sh --bootstrap-server {servers} --alter --entity-type topics --entity-name {topic}"
    for config in configs:
        value = are[config.name]
        if _holds(config, value):
            continue
        least = "at least " if config.judged is ConfigCheck.AT_LEAST and config.value != _ENDLESS else ""
        yield TopicMismatch(
            topic,
            f"{config.name} is {_said(config.name, value)}; expected {least}{_said(config.name, config.value)}: "
            f"{config.otherwise}",
            f"To fix it: {tool} --add-config {_added(config)}",
            stops_workers=config.stops_workers,
        )


def _added(config: TopicConfig) -> str:
    """The setting as kafka-configs.sh takes it: a list in brackets, which a shell would expand."""
    return f"'{config.name}=[{config.value}]'" if "," in config.value else f"{config.name}={config.value}"


def _holds(config: TopicConfig, value: str) -> bool:
    if config.judged is ConfigCheck.EXACTLY or not value.lstrip("-").isdigit():
        return _items(value) == _items(config.value)
    return value == _ENDLESS or (config.value != _ENDLESS and int(value) >= int(config.value))


def _items(value: str) -> list[str]:
    """The items of a list, whose order means nothing."""
    return sorted(item.strip() for item in value.split(","))


def _said(name: str, value: str) -> str:
    if name.startswith("retention.") and value == _ENDLESS:
        return f"{value} (endless)"
    if name == "retention.ms" and value.isdigit():
        return f"{value} ({format_duration(int(value))})"
    return value
