"""Which role has which permission, and what a route answers to a user without it."""

import pytest
from starlette.requests import Request

from streams.console.identity.permissions import (
    PERMISSIONS_OF,
    NotPermitted,
    NotSignedIn,
    Permission,
    needs,
    permits,
)
from streams.console.identity.users import Role, User

_DECIDES = {
    Permission.DECIDE_CASES,
    Permission.APPROVE_BANS,
    Permission.DECIDE_ADMISSIONS,
    Permission.EDIT_POLICY,
    Permission.APPROVE_POLICY,
    Permission.MANAGE_EXCEPTIONS,
}


def _request(user: User | None) -> Request:
    return Request({"type": "http", "callwarden.user": user})


def test_each_role_and_each_permission_is_in_the_table() -> None:
    assert set(PERMISSIONS_OF) == set(Role)
    assert frozenset().union(*PERMISSIONS_OF.values()) == set(Permission)


@pytest.mark.parametrize("role", [Role.VIEWER, Role.AUDITOR, Role.ADMIN])
def test_who_views_audits_or_gives_roles_decides_nothing(role: Role) -> None:
    assert not PERMISSIONS_OF[role] & _DECIDES


def test_only_an_admin_manages_users() -> None:
    assert [role for role in Role if Permission.MANAGE_USERS in PERMISSIONS_OF[role]] == [Role.ADMIN]


def test_several_roles_add_up() -> None:
    both = User("local:li", "Li", frozenset({Role.REVIEWER, Role.AUDITOR}))
    assert permits(both, Permission.DECIDE_CASES)
    assert permits(both, Permission.VIEW_ACTIONS)
    assert not permits(both, Permission.MANAGE_USERS)


def test_no_role_permits_nothing() -> None:
    assert not any(permits(User("local:li", "Li", frozenset()), each) for each in Permission)


async def test_needs_tells_no_session_from_no_permission() -> None:
    viewer = User("local:li", "Li", frozenset({Role.VIEWER}))
    assert await needs(Permission.VIEW_CASES)(_request(viewer)) is viewer
    with pytest.raises(NotPermitted) as refused:
        await needs(Permission.DECIDE_CASES)(_request(viewer))
    assert refused.value.permission is Permission.DECIDE_CASES
    with pytest.raises(NotSignedIn):
        await needs(Permission.VIEW_CASES)(_request(None))


def test_two_dependencies_of_one_permission_are_equal() -> None:
    assert needs(Permission.SEARCH) == needs(Permission.SEARCH)
    assert hash(needs(Permission.SEARCH)) == hash(needs(Permission.SEARCH))
