"""The labels of codes in Chinese and English: tiers, kinds, statuses, metrics, actions."""

from monitor.policy.metric_wording import METRIC_WORDING
from monitor.text.bilingual import Bilingual

TIERS = {
    "severe": Bilingual("严重违规", "Severe"),
    "major": Bilingual("较重违规", "Major"),
    "minor": Bilingual("违规", "Minor"),
    "none": Bilingual("不分级", "No tier"),
}
KINDS = {
    "warning": Bilingual("警告", "Warning"),
    "termination": Bilingual("终止服务", "Termination"),
    "ban": Bilingual("封号", "Ban"),
    "admission_rejected": Bilingual("号码申请驳回", "Application rejected"),
    "admission_review": Bilingual("号码申请待审核", "Application under review"),
    "admission_approved": Bilingual("号码申请通过", "Application approved"),
    "reversal": Bilingual("撤销", "Reversal"),
    "lapse": Bilingual("逾期失效", "Lapse"),
}
STATUSES = {
    "final": Bilingual("最终", "Final"),
    "pending_review": Bilingual("待复核", "Pending review"),
}
REFUNDS = {
    "frozen": Bilingual("冻结退款", "Refunds frozen"),
    "released": Bilingual("解除冻结", "Refunds released"),
    "unaffected": Bilingual("退款不受影响", "Refunds unaffected"),
}
ACTIONS = {
    "warn": Bilingual("警告", "Warn"),
    "record_violation": Bilingual("记录一次违规", "Record a violation"),
    "terminate_service": Bilingual("终止服务", "Terminate service"),
    "ban_account": Bilingual("封号且不再开通", "Ban the account"),
    "forbid_refunds": Bilingual("不允许退订/退款", "Forbid refunds"),
    "reserve_legal_action": Bilingual("保留追究法律责任的权利", "Reserve legal action"),
    "reject_numbers": Bilingual("不予开通号码", "Reject the numbers"),
    "approve_numbers": Bilingual("开通号码", "Give the numbers"),
}
BEHAVIOURS = {
    "verified_fraud_complaint": Bilingual("核实的诈骗类投诉", "Verified complaint of fraud"),
    "verified_harassment_complaint": Bilingual("核实的骚扰类投诉", "Verified complaint of harassment"),
    "undeclared_prohibited_business": Bilingual("未报备且禁止接入的业务", "Undeclared prohibited business"),
    "undeclared_business": Bilingual("实际业务与报备不符", "Business other than declared"),
    "in_call_abuse": Bilingual("通话中骚扰或辱骂客户", "Harassment or abuse during calls"),
    "blind_calling": Bilingual("明显盲呼", "Blind calling"),
    "no_consent": Bilingual("未经被叫同意擅自呼出", "Calling without consent"),
    "repeat_violation": Bilingual("多次违规", "Repeated violations"),
    "prohibited_business_application": Bilingual("申请的业务禁止接入", "Application for a prohibited business"),
    "banned_applicant": Bilingual("已封号，不再开通", "Applicant is banned"),
    "banned_owner": Bilingual("主体已封，不再开通", "Owner is banned"),
    "owner_banned": Bilingual("主体已封，待复核", "Tenant of a banned owner"),
    "application_review": Bilingual("号码申请审核", "Review of an application"),
}
SEVERITIES = {
    "critical": Bilingual("严重", "Critical"),
    "warning": Bilingual("警示", "Warning"),
    "info": Bilingual("提示", "Info"),
}
STANDINGS = {
    "banned": Bilingual("已封号", "Banned"),
    "terminated": Bilingual("已终止服务", "Terminated"),
    "pending": Bilingual("待复核", "Under review"),
    "warned": Bilingual("有违规记录", "Warned"),
    "refused": Bilingual("申请被驳回", "Application rejected"),
    "watched": Bilingual("仅预警", "Alerted only"),
    "clear": Bilingual("无在案违规", "Clear"),
}
MODES = {
    "enforce": Bilingual("执行", "Enforce"),
    "review": Bilingual("转人工复核", "Review"),
    "shadow": Bilingual("影子（只记录）", "Shadow"),
}
EVIDENCE = {
    "call_ids": Bilingual("通话", "Calls"),
    "complaint_ids": Bilingual("投诉", "Complaints"),
    "finding_ids": Bilingual("质检结果", "Findings"),
    "application_ids": Bilingual("号码申请", "Applications"),
    "review_ids": Bilingual("复核", "Reviews"),
    "enforcement_ids": Bilingual("在案决定", "Decisions"),
}
OUTCOMES = {
    "answered": Bilingual("接通", "answered"),
    "no_answer": Bilingual("无人接听", "no answer"),
    "busy": Bilingual("忙", "busy"),
    "rejected": Bilingual("拒接", "rejected"),
    "invalid_number": Bilingual("空号", "invalid number"),
    "unreachable": Bilingual("无法接通", "unreachable"),
    "carrier_blocked": Bilingual("运营商拦截", "blocked by carrier"),
    "policy_blocked": Bilingual("策略拦截", "blocked by policy"),
    "cancelled": Bilingual("主叫取消", "cancelled"),
    "failed": Bilingual("失败", "failed"),
}
DIRECTIONS = {"outbound": Bilingual("呼出", "outbound"), "inbound": Bilingual("呼入", "inbound")}
METRIC_NAMES = {
    **{name: wording.title for name, wording in METRIC_WORDING.items()},
    "violations": Bilingual("在案违规次数", "Violations on record"),
}


def label(table: dict[str, Bilingual], code: str) -> Bilingual:
    """The label of ``code``; the code itself if it is not in the table (from a newer release)."""
    return table.get(code) or Bilingual(code, code)
