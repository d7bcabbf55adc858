"""The program that makes a record of a call's events."""

from typing import NamedTuple

from monitor.adapters.assembly.call_event import CallEvent, kept_columns
from monitor.adapters.assembly.open_call import KeptEvent, OpenCall
from monitor.adapters.errors import Reject, RowErrorCode
from monitor.adapters.mapping.cells import Cells, Extractor
from monitor.adapters.mapping.compile_fields import CompiledFields
from monitor.adapters.mapping.compile_value import compile_value
from monitor.adapters.mapping.spec import CLOSED, ENDED, FIRST_MS, KIND, LAST_MS, SWAPPED, TIMEOUT, Events, Mapping
from monitor.text.durations import format_duration
from schemas.codec import InvalidRecordError, convert
from schemas.inputs import Cdr, Record


class AssembledCall(NamedTuple):
    """A call that has ended: a record, or the reason why there is none.

    ``refs`` are the places of the events that count. ``cells`` are the columns of the call. ``late``: the record of a
    version that came after the record of its call (`RowErrorCode.SUPERSEDED_LATE`).
    """

    refs: tuple[int, ...]
    record: Record | None
    reason: str | None
    cells: Cells
    late: Cdr | None = None


class CallProgram:
    """Compiled from a mapping alone: any process with the mapping can read the stored open calls."""

    def __init__(self, mapping: Mapping, events: Events, key: bytes) -> None:
        self.events = events
        self.columns = kept_columns(events)
        self._names = [kind.name for kind in events.kinds]
        places = {column: n for n, column in enumerate(self.columns)}
        numbers = {name: n for n, name in enumerate(self._names)}
        self._picks = [
            (pick.column, places.get(pick.column), tuple(numbers[kind] for kind in pick.kinds))
            for pick in events.picks.values()
        ]
        self.index = {name: n for n, name in enumerate(events.picks)}
        extractor = Extractor(mapping.extracts, self.index)
        self.index |= {name: len(self._picks) + n for n, name in enumerate(extractor.names)}
        self._extractor = extractor if extractor.names else None
        self.fields = CompiledFields(mapping, self.index, key)
        self._tenant = compile_value(mapping.fields["tenant_id"], self.index, key)

    def tenant(self, event: CallEvent) -> str:
        """The tenant that an event names by itself; "" if it names none."""
        call = OpenCall(event.key, 0, "", 0, 0, event.at_ms, event.at_ms)
        call.events[event.kind] = KeptEvent.of(event, 0)
        try:
            return self._tenant(self.cells(call)) or ""
        except Reject:
            return ""

    def assembled(self, call: OpenCall, end_of_input: bool = False) -> AssembledCall:
        """What becomes of a call that ends now."""
        refs = tuple(sorted(event.ref for event in call.events.values()))
        cells = self.cells(call)
        reason = self._missing(call, end_of_input)
        if reason is not None:
            return AssembledCall(refs, None, reason, cells)
        try:
            return AssembledCall(refs, convert(self.fields.data(cells)), None, cells)
        except (Reject, InvalidRecordError) as error:
            return AssembledCall(refs, None, str(error), cells)

    def _missing(self, call: OpenCall, end_of_input: bool) -> str | None:
        events = self.events
        if not call.is_opened(events):
            opening = " or ".join(kind.name for kind in events.kinds if kind.opens)
            return f"{RowErrorCode.INCOMPLETE}: expected an event that opens the call, {opening}, got none"
        if call.is_answered(events) and not call.is_closed(events):
            within = "before the input ends" if end_of_input else f"within {format_duration(events.max_call_ms)}"
            return f"{RowErrorCode.INCOMPLETE}: expected the end of the answered call {within}, got none"
        return None

    def cells(self, call: OpenCall) -> Cells:
        """The columns of the call, as in `index`."""
        kept = call.in_order()
        cells = [self._text(call, kept, *pick) for pick in self._picks]
        if self._extractor is not None:
            cells.extend(self._extractor.texts(cells))
        return cells

    def _text(
        self, call: OpenCall, kept: list[KeptEvent], column: str, place: int | None, kinds: tuple[int, ...]
    ) -> str:
        if place is None and not kinds:
            return self._of_call(call, column)
        chosen = [call.events[kind] for kind in kinds if kind in call.events] if kinds else kept
        for event in chosen:
            text = event.cells[place] if place is not None else self._of_event(event, kept, column)
            if text:
                return text
        return ""

    def _of_call(self, call: OpenCall, column: str) -> str:
        if column == ENDED:
            return CLOSED if call.is_closed(self.events) else TIMEOUT
        return str({FIRST_MS: call.first_ms, LAST_MS: call.last_ms}[column])

    def _of_event(self, event: KeptEvent, kept: list[KeptEvent], column: str) -> str:
        if column == KIND:
            return self._names[event.kind]
        assert column == SWAPPED
        opening = next((each for each in kept if self.events.kinds[each.kind].opens), None)
        if opening is None or not self.events.ends:
            return ""
        return "true" if event.end != opening.end else "false"
