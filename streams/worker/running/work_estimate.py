"""Estimates of work on a stream task, in calls of closing panes: one takes about a microsecond."""

from monitor.core.due_work import due_calls, due_records, due_tenants, due_window_ends, early_count
from monitor.partition.task import StreamTask

_RECORD_WORK = 100  # the cost of deciding a record
_OUTPUT_WORK = 10  # the cost of a late or rejected record that is passed on
_WINDOW_END_WORK = 1_000  # the cost of a window end, however few calls there are
_RULE_WORK = 10  # the cost of each rule at a window end, besides
_TENANT_WORK = 100  # the cost of a tenant that may get an alert or a decision, at a window end or in early evaluation


def transaction_work(task: StreamTask, most: int) -> int:
    """The cost of a transaction with `StreamTask.advance` of ``most``."""
    shard, watermark_ms = task.shard, task.watermark.ms
    records = due_records(shard, watermark_ms, most)
    tenants = shard.tenants if task.policy_changes.ending else due_tenants(shard, watermark_ms)
    decided = _RECORD_WORK * records + _TENANT_WORK * tenants
    decided += (_WINDOW_END_WORK + _RULE_WORK * len(shard.policy.rules)) * due_window_ends(shard, watermark_ms)
    return due_calls(shard, watermark_ms) + decided + _OUTPUT_WORK * len(task.passed_on)


def early_work(task: StreamTask) -> int:
    """The cost of `StreamTask.early`."""
    return _RECORD_WORK * early_count(task.shard)


def handover_work(task: StreamTask) -> int:
    """The cost of a handover of open calls and waiting records."""
    return len(task.shard.open_panes) + _RECORD_WORK * len(task.shard.pending_records)
