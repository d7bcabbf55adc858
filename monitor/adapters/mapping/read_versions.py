"""Reads `version` and `settle` of a mapping: how a row corrects an earlier one of the same call."""

from typing import Any, Final

from monitor.adapters.mapping.read_events import EventsReader
from monitor.adapters.mapping.spec import ROW, Value, Versions
from monitor.policy.file.errors import PolicyFault
from monitor.policy.file.yaml_source import YamlPath
from monitor.text.durations import parse_duration

VERSION_KEYS: Final = ("version", "settle")
_LONGEST: Final = "24h"


class VersionsReader(EventsReader):
    """Reads `version` and `settle`, after all that reads columns."""

    def versions(self, data: dict[str, Any], top: YamlPath, record: str) -> Versions | None:
        """What the two keys say; None if the mapping names no version, or a faulty one."""
        if "version" not in data:
            if "settle" in data:
                self.faults.append(top.child("settle").key_fault("expected `version` beside `settle`: it is missing"))
            return None
        place, before = top.child("version"), len(self.faults)
        if record != "cdr":
            self.wrong(place, f"expected `record: cdr` with `version`: a {record} comes again with a later time")
        if "events" in data:
            self.faults.append(place.key_fault("`version` does not go with `events`: take it out"))
            return None
        version, settle_ms = self.version(data["version"], place), self.settle(data, top)
        if settle_ms:
            self.must_be_kept(data, top)
        return Versions(version, settle_ms) if version is not None and len(self.faults) == before else None

    def version(self, value: Any, place: YamlPath) -> Value | None:
        """A whole number, or a time if it is read as one."""
        timed = isinstance(value, dict) and ("time" in value or any("time" in case for case in _cases(value)))
        return self.field("version_ms" if timed else "version", value, place, str, ())

    def settle(self, data: dict[str, Any], top: YamlPath) -> int:
        try:
            ms = parse_duration(self.text(data, top, "settle", "0s"))
        except ValueError as error:
            self.wrong(top.child("settle"), str(error))
            return 0
        if ms > parse_duration(_LONGEST):
            self.wrong(top.child("settle"), f"expected at most {_LONGEST}, and less than the policy's lateness")
        return ms

    def must_be_kept(self, data: dict[str, Any], top: YamlPath) -> None:
        """A row that is held is read alone, and in the order of the versions."""
        if data.get("sort") is False:
            self.wrong(top.child("sort"), "expected `sort: true` with `settle`: the rows are read in the order of time")
        if ROW in self.marks:
            message = f"expected no `{ROW}` with `settle`: a row that is held has no number"
            self.faults.append(PolicyFault(top.source.name, *self.marks[ROW], message))


def _cases(value: dict[str, Any]) -> list[dict[str, Any]]:
    cases = value.get("cases")
    return [case for case in cases if isinstance(case, dict)] if isinstance(cases, list) else []
