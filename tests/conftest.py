"""Shared by all tests. This file puts its folder on the path, which makes `import oracle` work everywhere."""

import gc
import logging
import os
import signal
from collections import Counter
from collections.abc import Generator, Iterator
from typing import Any

import hypothesis  # the first import after `gc.freeze` would warn of a plugin's object without referrers
import pytest
import structlog
from leftover_processes import kill, leftovers, mark_this_run

from monitor.core.garbage_collection import exempt_survivors

# Fixtures of `broker/conftest.py`: a test that uses one needs a service, also when it is marked `soak`.
_SERVICES = {"apicurio", "jars", "kafka", "postgres"}
# The slowest files, the slowest first: in parallel runs they must not be what everything waits for at the end.
LONG_FILES = (
    *(
        "test_alarms.py",
        "test_worker_life.py",
        "test_operator_commands.py",
        "test_dead_letter_commands.py",
        "test_dev_kafka.py",
        "test_alert_rules.py",
    ),
    *(
        "test_ingest_rate_on_broker.py",
        "test_notify_killed.py",
        "test_kafka_outage.py",
        "test_alertmanager.py",
        "test_unreadable_on_broker.py",
    ),
    *("test_schedules.py", "test_broken_protocol.py", "test_preview_child.py", "test_suspects.py", "test_docs.py"),
    *("test_policy_pages.py", "test_policy_changes.py", "test_owners.py", "test_billing_pack.py"),
    *("test_replay_properties.py", "test_losses.py", "test_replay_against_oracle.py", "test_bursts.py"),
    *("test_ids_are_ids.py", "test_builtin_rules_on_other_traffic.py", "test_large_panes.py"),
    *("test_owners_against_oracle.py", "test_parallel_sources.py", "test_hostile_texts.py", "test_worker_process.py"),
    *("test_assembler.py", "test_records_in_silence.py", "test_audit_of_policy_changes.py", "test_real_files.py"),
    *("test_rescale.py", "test_replay_files.py", "test_owners_topic.py", "test_mapping_documents.py"),
    *("test_rebalances.py", "test_rescale_killed.py", "test_stalled_partitions.py", "test_ingest_fuzz.py"),
    *("test_assemble_killed.py", "test_policy_changes_against_oracle.py", "test_roles.py", "test_distinct_counts.py"),
    *("test_state_import.py", "test_raw_partition.py", "test_many_zones.py", "test_suspect_messages.py"),
    *("test_ingest_api.py", "test_early_firing.py", "test_policy_load.py", "test_replayed_console.py"),
    *("test_misuse.py", "test_task_policy_changes.py", "test_codec.py", "test_edit_exceptions.py", "test_task.py"),
    *("test_interrupted_reviews.py", "test_bench_runs.py", "test_sampled_windows.py"),
    *("test_builtin_rules_on_strategies.py", "test_report_page.py"),
)
_GC_THRESHOLDS = 20_000, 20, 20
_LEFT_RUNNING = pytest.StashKey[list[str]]()
_OF_A_WORKER = "left_running"


def pytest_configure(config: pytest.Config) -> None:
    """Make the processes of tests independent of how the tests were started, and recognisable.

    A shell starts background jobs (`make test &`, some CI systems) with SIGINT ignored, `nohup` starts them with SIGHUP
    ignored, and processes inherit that: a command that a test interrupts would never end.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda *_: None)  # as `nohup` means it, but not inherited
    # By default, an example that takes more than 0.2 s fails, as any may on a busy machine, and how to repeat one that
    # failed is not printed.
    hypothesis.settings.register_profile("callwarden", deadline=None, print_blob=True)
    hypothesis.settings.load_profile("callwarden")
    config.stash[_LEFT_RUNNING] = []
    mark_this_run()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Exempt what is collected from garbage collection: ten thousand tests last for the whole run, and each full
    collection would visit all their objects, which takes longer than most of these tests.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(*_GC_THRESHOLDS)
        gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown() -> Generator[None, object, object]:
    """Undo what a command that ran in this process did to garbage collection, which is for a process of its own.

    Hypothesis, for one, warns of its own objects if they are exempt from it.
    """
    try:
        return (yield)
    finally:
        if exempt_survivors in gc.callbacks:
            gc.callbacks.remove(exempt_survivors)
            gc.set_threshold(*_GC_THRESHOLDS)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow files come first, then those with many tests; the tests of a file keep their order."""
    tests = Counter(item.path for item in items)
    ranks = {name: rank for rank, name in enumerate(LONG_FILES)}
    items.sort(key=lambda item: (ranks.get(item.path.name, len(ranks)), -tests[item.path]))


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """In parallel runs, collect what a worker process of pytest-xdist found at its end."""
    node.config.stash[_LEFT_RUNNING].extend(getattr(node, "workeroutput", {}).get(_OF_A_WORKER, []))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run that leaves processes behind, name them, and kill them."""
    config = session.config
    found = config.stash[_LEFT_RUNNING]
    if not config.pluginmanager.has_plugin("dsession"):  # otherwise the marked processes are pytest's own workers
        processes = leftovers()
        kill(processes)
        found += [str(process) for process in processes]
    if not found:
        return
    if hasattr(config, "workeroutput"):
        config.workeroutput[_OF_A_WORKER] = found
        return
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        reporter.write_line("")
        for process in found:
            reporter.write_line(f"left running by a test: {process}", red=True)
    session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(autouse=True)
def logs_go_where_they_went() -> Iterator[None]:
    """Restore logging: a command in this process logs to the standard error of its test, which is closed later."""
    handlers, level, before = logging.root.handlers[:], logging.root.level, structlog.get_config()
    yield
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    structlog.configure(**before)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With CALLWARDEN_REQUIRE_SERVICES=1, fail a service test that would be skipped: CI must not pass by absence."""
    report = yield
    required = os.environ.get("CALLWARDEN_REQUIRE_SERVICES") == "1"
    needing = item.get_closest_marker("services") or not _SERVICES.isdisjoint(getattr(item, "fixturenames", ()))
    if required and needing and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"CALLWARDEN_REQUIRE_SERVICES=1, but the test was skipped: {report.longreprtext}"
    return report
