"""Policy files for tests of the console, and checks without a child process."""

from pathlib import Path

from starlette.concurrency import run_in_threadpool

from helpers.console_harness import NAMES, ConsoleHarness
from monitor.partition.journal import JournalEntry, PolicyChange
from monitor.policy.load import to_plain
from monitor.policy.model import Policy
from streams.console.policies.checker import CheckReport, CheckRequest, check
from streams.topics.transaction_records import encode_journal_entry


def file_of(version: str, above: float = 0.3) -> str:
    """A house's file that changes one rule."""
    return f'id: house\nversion: "{version}"\npatch:\n  short-calls: {{above: {above}}}  # as the city wrote\n'


def policy_file(folder: Path, version: str) -> Path:
    """The file in the folder."""
    path = folder / f"policy-{version}.yaml"
    path.write_text(file_of(version), "utf-8")
    return path


def started(policy: Policy, from_ms: int, reason: str = "why, ask 13912345678", at_ms: int = 0) -> PolicyChange:
    """The entry of a change of policy in a clock log."""
    return PolicyChange(from_ms, policy.sha256, to_plain(policy), reason, "ada", at_ms)


async def recorded(console: ConsoleHarness, *entries: JournalEntry, partition: int = 0) -> None:
    """Have a worker record entries, and the console read them."""
    values = [encode_journal_entry(None, each) for each in entries]
    console.held.put(NAMES.output("clock"), partition, *values)
    await console.follow()


class ThreadChecks:
    """`streams.console.policies.check_process.Checks` in a thread: starting a process takes seconds."""

    async def check(self, request: CheckRequest) -> CheckReport:
        """The result."""
        return await run_in_threadpool(check, request)

    async def warm_up(self) -> None:
        """Nothing."""
