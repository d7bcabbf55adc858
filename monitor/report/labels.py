"""What codes are called in Chinese and English: tiers, kinds, statuses, metrics, actions, reasons of refusal."""

from typing import NamedTuple


class Label(NamedTuple):
    """One name in both languages."""

    zh: str
    en: str


TIERS = {
    "severe": Label("严重违规", "Severe"),
    "major": Label("较重违规", "Major"),
    "minor": Label("违规", "Minor"),
    "none": Label("不分级", "No tier"),
}
KINDS = {
    "warning": Label("警告", "Warning"),
    "termination": Label("终止服务", "Termination"),
    "ban": Label("封号", "Ban"),
    "admission_rejected": Label("号码申请驳回", "Application rejected"),
    "reversal": Label("撤销", "Reversal"),
    "lapse": Label("逾期失效", "Lapse"),
}
STATUSES = {
    "final": Label("生效", "Final"),
    "pending_review": Label("待复核", "Pending review"),
}
REFUNDS = {
    "frozen": Label("冻结退款", "Refunds frozen"),
    "released": Label("解除冻结", "Refunds released"),
    "unaffected": Label("退款不受影响", "Refunds unaffected"),
}
ACTIONS = {
    "warn": Label("警告", "Warn"),
    "record_violation": Label("记录一次违规", "Record a violation"),
    "terminate_service": Label("终止服务", "Terminate service"),
    "ban_account": Label("封号且不再开通", "Ban the account"),
    "forbid_refunds": Label("不允许退订/退款", "Forbid refunds"),
    "reserve_legal_action": Label("保留追究法律责任的权利", "Reserve legal action"),
    "reject_numbers": Label("不予开通号码", "Refuse the numbers"),
}
BEHAVIOURS = {
    "verified_fraud_complaint": Label("核实的诈骗类投诉", "Verified complaint of fraud"),
    "verified_harassment_complaint": Label("核实的骚扰类投诉", "Verified complaint of harassment"),
    "undeclared_prohibited_business": Label("开展禁止接入的业务", "Undeclared prohibited business"),
    "undeclared_business": Label("实际业务与报备不符", "Business other than declared"),
    "in_call_abuse": Label("通话中骚扰或辱骂客户", "Abuse during calls"),
    "blind_calling": Label("明显盲呼", "Blind calling"),
    "no_consent": Label("未经被叫同意擅自呼出", "Calling without consent"),
    "repeat_violation": Label("多次违规", "Repeated violations"),
    "prohibited_business_application": Label("申请的业务禁止接入", "Application for a prohibited business"),
    "banned_applicant": Label("已封号，不再开通", "Applicant is banned"),
}
SEVERITIES = {
    "critical": Label("严重", "Critical"),
    "warning": Label("警示", "Warning"),
    "info": Label("提示", "Info"),
}
STANDINGS = {
    "banned": Label("已封号", "Banned"),
    "terminated": Label("已终止", "Terminated"),
    "pending": Label("待复核", "Under review"),
    "warned": Label("有违规记录", "Warned"),
    "refused": Label("申请被驳回", "Application refused"),
    "watched": Label("仅预警", "Alerted only"),
    "clear": Label("无在案违规", "Clear"),
}
MODES = {
    "enforce": Label("执行", "Enforce"),
    "review": Label("转人工复核", "Review"),
    "shadow": Label("影子（只记录）", "Shadow"),
}
EVIDENCE = {
    "call_ids": Label("通话", "Calls"),
    "complaint_ids": Label("投诉", "Complaints"),
    "finding_ids": Label("质检结果", "Findings"),
    "application_ids": Label("号码申请", "Applications"),
    "review_ids": Label("复核", "Reviews"),
    "enforcement_ids": Label("在案决定", "Decisions"),
}
OUTCOMES = {
    "answered": Label("接通", "answered"),
    "no_answer": Label("无人接听", "no answer"),
    "busy": Label("忙", "busy"),
    "rejected": Label("拒接", "rejected"),
    "invalid_number": Label("空号", "invalid number"),
    "unreachable": Label("无法接通", "unreachable"),
    "carrier_blocked": Label("运营商拦截", "blocked by carrier"),
    "policy_blocked": Label("策略拦截", "blocked by policy"),
    "cancelled": Label("主叫取消", "cancelled"),
    "failed": Label("失败", "failed"),
}
DIRECTIONS = {"outbound": Label("呼出", "outbound"), "inbound": Label("呼入", "inbound")}
METRIC_NAMES = {
    "attempts": Label("外呼尝试数", "Attempts"),
    "answered": Label("接通数", "Answered calls"),
    "policy_blocked": Label("策略拦截数", "Blocked by policy"),
    "asr": Label("接通率 ASR", "Answer-seizure ratio (ASR)"),
    "acd_s": Label("平均通话时长 ACD", "Average call duration (ACD)"),
    "ner": Label("网络有效率 NER", "Network effectiveness ratio (NER)"),
    "pdd_s": Label("拨号后延迟 PDD", "Post-dial delay (PDD)"),
    "short_call_ratio": Label("短呼占比", "Short-call ratio"),
    "zero_second_ratio": Label("零秒通话占比", "Zero-second ratio"),
    "long_call_ratio": Label("长通话占比", "Long-call ratio"),
    "invalid_number_ratio": Label("空号率", "Invalid-number ratio"),
    "reject_ratio": Label("拒接率", "Reject ratio"),
    "cancel_ratio": Label("主叫取消率", "Cancel ratio"),
    "carrier_blocked_ratio": Label("运营商拦截率", "Carrier-blocked ratio"),
    "callee_hangup_ratio": Label("被叫速挂率", "Quick callee hang-up ratio"),
    "distinct_callee_ratio": Label("被叫去重率", "Distinct-callee ratio"),
    "sequential_ratio": Label("连号拨打率", "Sequential dialling ratio"),
    "callee_over_limit": Label("超频被叫数", "Callees over the limit"),
    "caller_peak": Label("单号外呼峰值", "Peak of one caller"),
    "out_of_hours_ratio": Label("时段外外呼率", "Out-of-hours ratio"),
    "consent_coverage": Label("同意凭证覆盖率", "Consent coverage"),
    "abandon_ratio": Label("呼入放弃率", "Abandon ratio"),
    "complaints": Label("投诉数", "Complaints"),
    "complaint_rate": Label("投诉率", "Complaint rate"),
    "complainants": Label("投诉人数", "Complainants"),
    "verified_complaints": Label("核实投诉数", "Verified complaints"),
    "verified_complaint_rate": Label("核实投诉率", "Verified complaint rate"),
    "violations": Label("在案违规次数", "Violations on record"),
}


def label(table: dict[str, Label], code: str) -> Label:
    """The label of ``code``; a code that is not in the table (from a newer release) stands for itself."""
    return table.get(code) or Label(code, code)
