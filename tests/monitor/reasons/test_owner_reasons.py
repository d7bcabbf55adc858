"""The reasons of decisions because of the owner behind a tenant name the owner, the banned tenant and the decision."""

import pytest

from monitor import reasons
from schemas.outputs import Reason
from schemas.owners import OwnerBan

BAN = OwnerBan("licence-13900001234", "13900005678", "cwe-1", 1, "severe", 1_790_000_000_000)


@pytest.mark.parametrize(
    ("reason", "zh", "en"),
    [
        (reasons.banned_owner("application", "a1", BAN), "不再开通，驳回号码申请“a1”", "Application “a1” is refused"),
        (reasons.banned_owner("tenant", "t1", BAN), "驳回租户“t1”", "registration of tenant “t1” under this owner"),
        (reasons.owner_banned(BAN, 1_790_000_000_000), "已提交人工复核", "referred for review until 2026-09-21"),
        (reasons.owner_ban_lifted(BAN), "待复核的封号随之撤销", "the pending ban is reversed"),
    ],
)
def test_a_reason_names_the_ban_by_its_ids_in_full(reason: Reason, zh: str, en: str) -> None:
    assert zh in reason.zh
    assert en in reason.en
    for text in (reason.zh, reason.en):
        assert all(one in text for one in ("“licence-13900001234”", "“13900005678”", "“cwe-1”"))
        assert "\n" not in text


def test_a_banned_tenant_that_names_a_banned_owner_is_refused_for_its_own_ban() -> None:
    reason = reasons.banned_applicant("t1", "tenant")
    assert "租户“t1”已被封号" in reason.zh
    assert "the tenant is banned" in reason.en
