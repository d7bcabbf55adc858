"""Reads `version` and `settle` of a mapping: how a row corrects an earlier one of the same call."""

from typing import Any, Final

from monitor.adapters.mapping.read_events import EventsReader
from monitor.adapters.mapping.spec import ROW, Value, Versions
from monitor.adapters.mapping_wording import mapping_text
from monitor.policy.file.errors import PolicyFault
from monitor.policy.file.yaml_source import YamlPath
from monitor.text.bilingual import BilingualError
from monitor.text.durations import parse_duration

VERSION_KEYS: Final = ("version", "settle")
_LONGEST: Final = "24h"


class VersionsReader(EventsReader):
    """Reads `version` and `settle`, after all that reads columns."""

    def versions(self, data: dict[str, Any], top: YamlPath, record: str) -> Versions | None:
        """What the two keys say; None if the mapping names no version, or a faulty one."""
        if "version" not in data:
            if "settle" in data:
                self.wrong_key(top.child("settle"), "settle_without_version")
            return None
        place, before = top.child("version"), len(self.faults)
        if record != "cdr":
            self.wrong(place, "version_of_calls", record=record)
        if "events" in data:
            self.wrong_key(place, "not_with_events", key="version")
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
        except BilingualError as error:
            self.wrong(top.child("settle"), "problem", problem=error.message)
            return 0
        if ms > parse_duration(_LONGEST):
            self.wrong(top.child("settle"), "settle_limit", most=_LONGEST)
        return ms

    def must_be_kept(self, data: dict[str, Any], top: YamlPath) -> None:
        """A row that is held is read alone, and in the order of the versions."""
        if data.get("sort") is False:
            self.wrong(top.child("sort"), "settle_sorts")
        if ROW in self.marks:
            message = mapping_text("settle_without_row", row=ROW)
            self.faults.append(PolicyFault.worded(top.source.name, *self.marks[ROW], message))


def _cases(value: dict[str, Any]) -> list[dict[str, Any]]:
    cases = value.get("cases")
    return [case for case in cases if isinstance(case, dict)] if isinstance(cases, list) else []
