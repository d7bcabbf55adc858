"""The state of the programs around the console, from the pages of readiness and metrics that each of them serves."""

import asyncio
import math
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from streams.runtime.monotonic import steady_s

_WITHIN: Final = aiohttp.ClientTimeout(total=4.0)
_FRESH_S: Final = 3.0
_MOST_BYTES: Final = 4_000_000
_LONGEST_REASON: Final = 8_000
_PREFIX: Final = "callwarden_"


class ProgramPage(NamedTuple):
    """A program by its kind (worker, billing, ledger, notify) and where it serves its pages."""

    kind: str
    address: str


@dataclass(slots=True)
class ChannelState:
    """The messages of a channel of the notifier: those that wait, were set aside, or were given up since its start."""

    waiting: float = 0
    oldest_s: float = 0
    set_aside: float = 0
    given_up: float = 0


@dataclass(slots=True)
class ProgramState:
    """What a program says of itself. ``why``: why it is not ready, or cannot be reached; empty if it is ready.

    ``watermarks``: of a worker, epoch ms by partition. ``channels``: of the notifier. ``entries`` and ``published_ms``:
    the records that the ledger keeps, and when it last published the heads of its chains, which `ledger verify` checks.
    ``verified_ms``, ``verified`` and ``differences``: when it was last verified, how many records, how many differed.
    """

    page: ProgramPage
    reached: bool = False
    why: str = ""
    watermarks: dict[int, int] = field(default_factory=dict)
    channels: dict[str, ChannelState] = field(default_factory=dict)
    entries: int | None = None
    published_ms: int | None = None
    verified_ms: int | None = None
    verified: int = 0
    differences: int = 0


def program_pages(text: str | None) -> list[ProgramPage]:
    """The programs of the setting `console_programs`."""
    each = (part.strip().partition("=") for part in (text or "").split(",") if part.strip())
    return [ProgramPage(kind.strip(), address.strip()) for kind, _, address in each]


class Programs:
    """Asks the programs, at most once in a few seconds, so that readers of the page cannot load them."""

    def __init__(self, pages: list[ProgramPage]) -> None:
        self._pages = pages
        self._turn = asyncio.Lock()
        self._found: list[ProgramState] = []
        self._until_s = float("-inf")

    async def states(self) -> list[ProgramState]:
        """The state of each program. One that does not answer has its reason."""
        async with self._turn:
            if steady_s() >= self._until_s:
                # No proxy of the environment: these programs are near.
                async with aiohttp.ClientSession(timeout=_WITHIN) as session:
                    self._found = list(await asyncio.gather(*(_state(session, page) for page in self._pages)))
                self._until_s = steady_s() + _FRESH_S
            return self._found


async def _state(session: aiohttp.ClientSession, page: ProgramPage) -> ProgramState:
    state = ProgramState(page)
    try:
        ready, said = await _get(session, f"{page.address}/readyz")
        _, metrics = await _get(session, f"{page.address}/metrics")
        state.reached, state.why = True, "" if ready == 200 else said.strip()[:_LONGEST_REASON]
        read_metrics(state, metrics)
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        state.why = state.why or f"{type(error).__name__}: {error}"[:_LONGEST_REASON]
    return state


async def _get(session: aiohttp.ClientSession, url: str) -> tuple[int, str]:
    async with session.get(url, allow_redirects=False) as response:
        body = await response.content.read(_MOST_BYTES + 1)
        while len(body) <= _MOST_BYTES and (more := await response.content.read(_MOST_BYTES)):
            body += more
        if len(body) > _MOST_BYTES:
            raise ValueError(f"its page has more than {_MOST_BYTES:,} bytes")
        return response.status, body.decode("utf-8", "replace")


def read_metrics(state: ProgramState, metrics: str) -> None:
    """Fill the state from a page of metrics. Raises ValueError if it is none."""
    for family in text_string_to_metric_families(metrics):
        if not family.name.startswith(_PREFIX):
            continue
        for name, labels, value, *_ in family.samples:
            if not math.isfinite(value):
                continue
            match name.removeprefix(_PREFIX):
                case "watermark_timestamp_seconds" if labels.get("partition", "").isdigit():
                    state.watermarks[int(labels["partition"])] = int(value * 1000)
                case "ledger_entries":
                    state.entries = (state.entries or 0) + int(value)
                case "ledger_heads_published_timestamp_seconds":
                    state.published_ms = int(value * 1000)
                case "ledger_verified_timestamp_seconds":
                    state.verified_ms = int(value * 1000)
                case "ledger_verified_entries":
                    state.verified += int(value)
                case "ledger_verified_differences":
                    state.differences = int(value)
                case "notify_waiting_messages":
                    _channel(state, labels).waiting = value
                case "notify_oldest_waiting_seconds":
                    _channel(state, labels).oldest_s = value
                case "notify_set_aside_messages":
                    _channel(state, labels).set_aside = value
                case "notify_given_up_total":
                    _channel(state, labels).given_up = value


def _channel(state: ProgramState, labels: dict[str, str]) -> ChannelState:
    return state.channels.setdefault(labels.get("channel", ""), ChannelState())
