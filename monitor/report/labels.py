"""The labels of codes in Chinese and English: tiers, kinds, statuses, metrics, actions, rejection reasons."""

from typing import NamedTuple


class BilingualLabel(NamedTuple):
    """One name in both languages."""

    zh: str
    en: str


TIERS = {
    "severe": BilingualLabel("严重违规", "Severe"),
    "major": BilingualLabel("较重违规", "Major"),
    "minor": BilingualLabel("违规", "Minor"),
    "none": BilingualLabel("不分级", "No tier"),
}
KINDS = {
    "warning": BilingualLabel("警告", "Warning"),
    "termination": BilingualLabel("终止服务", "Termination"),
    "ban": BilingualLabel("封号", "Ban"),
    "admission_rejected": BilingualLabel("号码申请驳回", "Application rejected"),
    "reversal": BilingualLabel("撤销", "Reversal"),
    "lapse": BilingualLabel("逾期失效", "Lapse"),
}
STATUSES = {
    "final": BilingualLabel("生效", "Final"),
    "pending_review": BilingualLabel("待复核", "Pending review"),
}
REFUNDS = {
    "frozen": BilingualLabel("冻结退款", "Refunds frozen"),
    "released": BilingualLabel("解除冻结", "Refunds released"),
    "unaffected": BilingualLabel("退款不受影响", "Refunds unaffected"),
}
ACTIONS = {
    "warn": BilingualLabel("警告", "Warn"),
    "record_violation": BilingualLabel("记录一次违规", "Record a violation"),
    "terminate_service": BilingualLabel("终止服务", "Terminate service"),
    "ban_account": BilingualLabel("封号且不再开通", "Ban the account"),
    "forbid_refunds": BilingualLabel("不允许退订/退款", "Forbid refunds"),
    "reserve_legal_action": BilingualLabel("保留追究法律责任的权利", "Reserve legal action"),
    "reject_numbers": BilingualLabel("不予开通号码", "Refuse the numbers"),
}
BEHAVIOURS = {
    "verified_fraud_complaint": BilingualLabel("核实的诈骗类投诉", "Verified complaint of fraud"),
    "verified_harassment_complaint": BilingualLabel("核实的骚扰类投诉", "Verified complaint of harassment"),
    "undeclared_prohibited_business": BilingualLabel("开展禁止接入的业务", "Undeclared prohibited business"),
    "undeclared_business": BilingualLabel("实际业务与报备不符", "Business other than declared"),
    "in_call_abuse": BilingualLabel("通话中骚扰或辱骂客户", "Abuse during calls"),
    "blind_calling": BilingualLabel("明显盲呼", "Blind calling"),
    "no_consent": BilingualLabel("未经被叫同意擅自呼出", "Calling without consent"),
    "repeat_violation": BilingualLabel("多次违规", "Repeated violations"),
    "prohibited_business_application": BilingualLabel("申请的业务禁止接入", "Application for a prohibited business"),
    "banned_applicant": BilingualLabel("已封号，不再开通", "Applicant is banned"),
}
SEVERITIES = {
    "critical": BilingualLabel("严重", "Critical"),
    "warning": BilingualLabel("警示", "Warning"),
    "info": BilingualLabel("提示", "Info"),
}
STANDINGS = {
    "banned": BilingualLabel("已封号", "Banned"),
    "terminated": BilingualLabel("已终止", "Terminated"),
    "pending": BilingualLabel("待复核", "Under review"),
    "warned": BilingualLabel("有违规记录", "Warned"),
    "refused": BilingualLabel("申请被驳回", "Application refused"),
    "watched": BilingualLabel("仅预警", "Alerted only"),
    "clear": BilingualLabel("无在案违规", "Clear"),
}
MODES = {
    "enforce": BilingualLabel("执行", "Enforce"),
    "review": BilingualLabel("转人工复核", "Review"),
    "shadow": BilingualLabel("影子（只记录）", "Shadow"),
}
EVIDENCE = {
    "call_ids": BilingualLabel("通话", "Calls"),
    "complaint_ids": BilingualLabel("投诉", "Complaints"),
    "finding_ids": BilingualLabel("质检结果", "Findings"),
    "application_ids": BilingualLabel("号码申请", "Applications"),
    "review_ids": BilingualLabel("复核", "Reviews"),
    "enforcement_ids": BilingualLabel("在案决定", "Decisions"),
}
OUTCOMES = {
    "answered": BilingualLabel("接通", "answered"),
    "no_answer": BilingualLabel("无人接听", "no answer"),
    "busy": BilingualLabel("忙", "busy"),
    "rejected": BilingualLabel("拒接", "rejected"),
    "invalid_number": BilingualLabel("空号", "invalid number"),
    "unreachable": BilingualLabel("无法接通", "unreachable"),
    "carrier_blocked": BilingualLabel("运营商拦截", "blocked by carrier"),
    "policy_blocked": BilingualLabel("策略拦截", "blocked by policy"),
    "cancelled": BilingualLabel("主叫取消", "cancelled"),
    "failed": BilingualLabel("失败", "failed"),
}
DIRECTIONS = {"outbound": BilingualLabel("呼出", "outbound"), "inbound": BilingualLabel("呼入", "inbound")}
METRIC_NAMES = {
    "attempts": BilingualLabel("外呼尝试数", "Attempts"),
    "answered": BilingualLabel("接通数", "Answered calls"),
    "policy_blocked": BilingualLabel("策略拦截数", "Blocked by policy"),
    "asr": BilingualLabel("接通率 ASR", "Answer-seizure ratio (ASR)"),
    "acd_s": BilingualLabel("平均通话时长 ACD", "Average call duration (ACD)"),
    "ner": BilingualLabel("网络有效率 NER", "Network effectiveness ratio (NER)"),
    "pdd_s": BilingualLabel("拨号后延迟 PDD", "Post-dial delay (PDD)"),
    "short_call_ratio": BilingualLabel("短呼占比", "Short-call ratio"),
    "zero_second_ratio": BilingualLabel("零秒通话占比", "Zero-second ratio"),
    "long_call_ratio": BilingualLabel("长通话占比", "Long-call ratio"),
    "invalid_number_ratio": BilingualLabel("空号率", "Invalid-number ratio"),
    "reject_ratio": BilingualLabel("拒接率", "Reject ratio"),
    "cancel_ratio": BilingualLabel("主叫取消率", "Cancel ratio"),
    "carrier_blocked_ratio": BilingualLabel("运营商拦截率", "Carrier-blocked ratio"),
    "callee_hangup_ratio": BilingualLabel("被叫速挂率", "Quick callee hang-up ratio"),
    "distinct_callee_ratio": BilingualLabel("被叫去重率", "Distinct-callee ratio"),
    "sequential_ratio": BilingualLabel("连号拨打率", "Sequential dialling ratio"),
    "callee_over_limit": BilingualLabel("超频被叫数", "Callees over the limit"),
    "caller_peak": BilingualLabel("单号外呼峰值", "Peak of one caller"),
    "out_of_hours_ratio": BilingualLabel("时段外外呼率", "Out-of-hours ratio"),
    "consent_coverage": BilingualLabel("同意凭证覆盖率", "Consent coverage"),
    "abandon_ratio": BilingualLabel("呼入放弃率", "Abandon ratio"),
    "complaints": BilingualLabel("投诉数", "Complaints"),
    "complaint_rate": BilingualLabel("投诉率", "Complaint rate"),
    "complainants": BilingualLabel("投诉人数", "Complainants"),
    "verified_complaints": BilingualLabel("核实投诉数", "Verified complaints"),
    "verified_complaint_rate": BilingualLabel("核实投诉率", "Verified complaint rate"),
    "violations": BilingualLabel("在案违规次数", "Violations on record"),
}


def label(table: dict[str, BilingualLabel], code: str) -> BilingualLabel:
    """The label of ``code``; the code itself if it is not in the table (from a newer release)."""
    return table.get(code) or BilingualLabel(code, code)
