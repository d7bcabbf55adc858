"""Reads the section `events` of a mapping: how several records make one call."""

from typing import Any, Final

from monitor.adapters.mapping.read_field import ValueReader
from monitor.adapters.mapping.spec import EventKind, Events, Value
from monitor.adapters.mapping_wording import listed
from monitor.policy.file.yaml_source import YamlPath
from monitor.text.bilingual import BilingualError
from monitor.text.durations import parse_duration

EVENT_KEYS: Final = ("call", "ends", "time", "sequence", "ring_timeout", "max_call", "settle", "kinds")
ROLES: Final = ("open", "answer", "close", "fail")
_KIND_KEYS: Final = ("when", "roles", "take")
_LIMITS: Final = {"ring_timeout": ("3m", "1h"), "max_call": ("24h", "7d"), "settle": ("10s", "1h")}
"""The default of each time-out, and the most that it may be."""


class EventsReader(ValueReader):
    """Reads `events`. Afterwards the columns of the mapping are those of a call."""

    def events(self, data: dict[str, Any], top: YamlPath, record: str) -> Events | None:
        """The section `events`; None if the mapping has none, or a faulty one."""
        if "events" not in data:
            return None
        place, given, before = top.child("events"), data["events"], len(self.faults)
        if not isinstance(given, dict):
            self.wrong(place, "events_kind")
            return None
        if record != "cdr":
            self.wrong(place, "events_of_calls", record=record)
        for key in ("sort", "arrival"):
            if key in data:
                self.wrong_key(top.child(key), "not_with_events", key=key)
        self.known(given, place, EVENT_KEYS)
        call = self.part("call", given, place, str)
        time = self.part("event_ms", given, place, int)
        ends = self.columns(given, place, "ends") if "ends" in given else ()
        if "ends" in given and len(ends) != 2:
            self.wrong(place.child("ends"), "two_ends")
        sequence = self.column(given["sequence"], place.child("sequence")) if "sequence" in given else ""
        kinds = tuple(self.kind(name, each, place.child("kinds", name)) for name, each in self.kinds_in(given, place))
        for role, has in (("open", any(kind.opens for kind in kinds)), ("close", any(kind.closes for kind in kinds))):
            if kinds and not has:
                self.wrong(place.child("kinds"), "no_role", role=role)
        limits = {name: self.limit(name, given, place) for name in _LIMITS}
        self.kinds = tuple(kind.name for kind in kinds)
        self.picks = {}
        if call is None or time is None or len(self.faults) > before:
            return None
        return Events(
            call=call,
            ends=ends,
            time=time,
            sequence=sequence,
            kinds=kinds,
            ring_timeout_ms=limits["ring_timeout"],
            max_call_ms=limits["max_call"],
            settle_ms=limits["settle"],
            picks=self.picks,
        )

    def part(self, name: str, given: dict[str, Any], place: YamlPath, kind: type) -> Value | None:
        """One of the sources that every event has."""
        key = "time" if name == "event_ms" else name
        if key not in given:
            self.wrong(place, "missing_in_events", key=key)
            return None
        return self.field(name, given[key], place.child(key), kind, ())

    def kinds_in(self, given: dict[str, Any], place: YamlPath) -> list[tuple[str, dict[str, Any]]]:
        kinds = given.get("kinds")
        if not isinstance(kinds, dict) or not kinds or not all(isinstance(each, dict) for each in kinds.values()):
            self.wrong(place.child("kinds"), "kinds_kind")
            return []
        return list(kinds.items())

    def kind(self, name: str, value: dict[str, Any], place: YamlPath) -> EventKind:
        self.known(value, place, _KIND_KEYS)
        roles = self.texts(value, place, "roles") if "roles" in value else []
        for role in roles:
            if role not in ROLES:
                self.wrong(place.child("roles"), "unknown_role", roles=listed(ROLES), role=role)
        when = self.conditions(value, place, made=())
        if not when:
            self.wrong(place, "kind_without_when")
        take = self.word(value, place, "take", ("first", "last"), "first")
        opens, answers, closes, fails = (role in roles for role in ROLES)
        return EventKind(str(name), when, opens, answers, closes, fails, take == "last")

    def limit(self, name: str, given: dict[str, Any], place: YamlPath) -> int:
        default, most = _LIMITS[name]
        try:
            ms = parse_duration(self.text(given, place, name, default))
        except BilingualError as error:
            self.wrong(place.child(name), "problem", problem=error.message)
            return 0
        if not 0 < ms <= parse_duration(most) and not (name == "settle" and ms == 0):
            self.wrong(place.child(name), "limit", most=most, value=given.get(name))
        return ms
