"""Policy files for tests of the console, and checks without a child process."""

from pathlib import Path

from starlette.concurrency import run_in_threadpool

from streams.console.policies.checker import CheckReport, CheckRequest, check


def file_of(version: str, above: float = 0.3) -> str:
    """A house's file that changes one rule."""
    return f'id: house\nversion: "{version}"\npatch:\n  short-calls: {{above: {above}}}  # as the city wrote\n'


def policy_file(folder: Path, version: str) -> Path:
    """The file in the folder."""
    path = folder / f"policy-{version}.yaml"
    path.write_text(file_of(version), "utf-8")
    return path


class ThreadChecks:
    """`streams.console.policies.check_process.Checks` in a thread: starting a process takes seconds."""

    async def check(self, request: CheckRequest) -> CheckReport:
        """The result."""
        return await run_in_threadpool(check, request)

    async def warm_up(self) -> None:
        """Nothing."""
