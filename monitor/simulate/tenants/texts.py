"""What tenants declare, apply for, and actually do, in both languages."""

from typing import NamedTuple


class Wording(NamedTuple):
    """A business as declared and as found. What a finding names as declared, its tenant has registered beside the
    business of its kind."""

    declared: str
    actual: str


# What a tenant declares at registration, by `Kind.business`.
DECLARED: dict[str, tuple[str, ...]] = {
    "sales": (
        "企业软件销售",
        "办公用品批发",
        "企业培训",
        "工业零件销售",
        "enterprise software sales",
        "office supplies",
    ),
    "support": ("售后服务", "客户服务热线", "设备报修", "预约挂号服务", "customer support", "appliance repair hotline"),
    "notification": ("订单状态通知", "航班变动通知", "停水停电通知", "order status notices", "flight change notices"),
    "reminder": ("就诊预约提醒", "会员到期提醒", "图书归还提醒", "appointment reminders", "library return reminders"),
    "courier": ("快递派送联系", "外卖配送", "parcel delivery", "同城即时配送"),
    "survey": ("客户满意度调查", "居民出行调查", "customer satisfaction surveys", "product quality survey"),
    "night": ("道路救援调度", "夜间物流调度", "roadside assistance", "night freight dispatch"),
}

# The actual business is exactly a term of the prohibited catalogue: certain.
CERTAIN = (
    Wording("客户服务", "催收"),
    Wording("售后服务", "贷款"),
    Wording("企业培训", "信用卡"),
    Wording("会员服务", "植发"),
    Wording("设备销售", "POS 机"),
    Wording("order follow-up", "debt collection"),
    Wording("customer care", "credit cards"),
    Wording("电商客服", "刷单"),
)

# The actual business contains a term: likely.
LIKELY = (
    Wording("客户服务", "向车主推荐小额贷款方案"),
    Wording("售后服务", "帮客户办理信用卡提额"),
    Wording("门店预约", "植发项目到店咨询"),
    Wording("企业服务", "POS机免费上门办理"),
    Wording("member services", "cold calls about personal loans for members"),
    Wording("电商客服", "刷单兼职招募"),
)

# Not what was declared, but not prohibited.
HARMLESS = (
    Wording("售后服务", "宠物用品促销"),
    Wording("客户服务热线", "文具团购通知"),
    Wording("设备报修", "家政保洁预约"),
    Wording("appliance repair hotline", "flower subscriptions"),
    Wording("企业软件销售", "健身房会员回访"),
)

# Contains a term although the business is innocent: only a reviewer can tell.
MISTAKEN = (
    Wording("前台接待外包", "某贷款公司的前台总机接听"),
    Wording("呼入总机服务", "植发医院总机转接"),
    Wording("switchboard services", "switchboard of a debt collection firm"),
)

# Applications for numbers: declared business and scenario.
PROHIBITED_APPLICATIONS = (
    Wording("贷款", "电话营销"),
    Wording("催收", "逾期提醒"),
    Wording("金融信息咨询", "信用卡办理推广"),
    Wording("毛发健康管理", "植发项目邀约"),
    Wording("debt collection", "overdue accounts"),
    Wording("电商服务", "刷单"),
)
INNOCENT_APPLICATIONS = (
    Wording("客流量统计系统售后", "报修回访"),
    Wording("快递柜售后", "取件提醒"),
    Wording("企业培训", "开课通知"),
    Wording("Postal parcel pickup", "pickup reminders"),
    Wording("图书馆服务", "还书提醒"),
    Wording("hotel front desk", "reservation confirmation"),
)
# A banned tenant that comes back under a harmless name.
RETURNING_APPLICATIONS = (
    Wording("客户回访", "满意度回访"),
    Wording("订单通知", "物流提醒"),
    Wording("customer follow-up", "delivery notices"),
)

LISTS: dict[str, tuple[Wording, ...]] = {
    "certain": CERTAIN,
    "likely": LIKELY,
    "harmless": HARMLESS,
    "mistaken": MISTAKEN,
    "prohibited": PROHIBITED_APPLICATIONS,
    "innocent": INNOCENT_APPLICATIONS,
    "returning": RETURNING_APPLICATIONS,
}

NAME_PARTS = (
    (
        "晨光",
        "远航",
        "明德",
        "华信",
        "众诚",
        "启明",
        "安捷",
        "东篱",
        "瑞丰",
        "天工",
        "云帆",
        "和顺",
        "百川",
        "金桥",
        "北辰",
        "海棠",
    ),
    ("科技", "商贸", "信息", "服务", "网络", "企业管理", "物流", "咨询"),
)
REASONS = {
    "uphold": "复核录音与报备材料，认定属实",
    "overturn": "复核录音与报备材料，认定不成立",
}
