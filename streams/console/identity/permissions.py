"""Permissions: which role may do what, in one table, and the dependency by which a route declares what it needs."""

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from starlette.requests import Request

from streams.console.identity.users import Role, User

if TYPE_CHECKING:
    from collections.abc import Mapping


class Permission(StrEnum):
    """What a route lets a user do. Each route needs exactly one."""

    USE_ACCOUNT = "use_account"
    """One's own account: sign out, password, second factor, sessions, language, API tokens."""
    VIEW_CASES = "view_cases"
    """The queue, the cases, and the events about them."""
    VIEW_TENANTS = "view_tenants"
    SEARCH = "search"
    VIEW_POLICY = "view_policy"
    VIEW_ADMISSIONS = "view_admissions"
    VIEW_HEALTH = "view_health"
    VIEW_QUALITY = "view_quality"
    """How often whose verdicts were overturned, and how long they took."""
    VIEW_ACTIONS = "view_actions"
    """The audit log of what people did."""
    USE_API = "use_api"
    """Read `/v1`."""

    CLAIM_CASES = "claim_cases"
    """Claim, release and postpone a case."""
    ASSIGN_CASES = "assign_cases"
    """Give a case to another user."""
    WRITE_NOTES = "write_notes"
    DECIDE_CASES = "decide_cases"
    """Uphold and overturn, also in bulk, and cancel a verdict that is not sent yet; record an appeal."""
    APPROVE_BANS = "approve_bans"
    """Be the second person of a ban."""
    LOOK_AGAIN = "look_again"
    """Say of a sample of decisions that others upheld whether one agrees; changes nothing about them."""
    DECIDE_ADMISSIONS = "decide_admissions"
    EXPORT_CASES = "export_cases"

    EDIT_POLICY = "edit_policy"
    """Drafts, checks, previews, and proposals to apply or withdraw."""
    APPROVE_POLICY = "approve_policy"
    """Be the second person of a policy change."""
    MANAGE_EXCEPTIONS = "manage_exceptions"
    """Propose overrides and exemptions of single tenants."""

    RETRY_DEAD_LETTERS = "retry_dead_letters"
    EXPORT_ACTIONS = "export_actions"
    MANAGE_USERS = "manage_users"
    MANAGE_REASON_TEXTS = "manage_reason_texts"
    """Edit the texts that reviewers insert into the reasons of verdicts."""


_P = Permission
_VIEW: Final = frozenset(
    {
        _P.USE_ACCOUNT, _P.VIEW_CASES, _P.VIEW_TENANTS, _P.SEARCH, _P.VIEW_POLICY, _P.VIEW_ADMISSIONS, _P.VIEW_HEALTH,
        _P.USE_API,
    }
)  # fmt: skip
_REVIEW: Final = frozenset(
    {
        _P.CLAIM_CASES, _P.ASSIGN_CASES, _P.WRITE_NOTES, _P.DECIDE_CASES, _P.APPROVE_BANS, _P.DECIDE_ADMISSIONS,
        _P.EXPORT_CASES, _P.VIEW_QUALITY, _P.LOOK_AGAIN,
    }
)  # fmt: skip

PERMISSIONS_OF: "Final[Mapping[Role, frozenset[Permission]]]" = MappingProxyType(
    {
        Role.VIEWER: _VIEW,
        Role.REVIEWER: _VIEW | _REVIEW,
        Role.POLICY_OWNER: _VIEW | {_P.VIEW_QUALITY, _P.EDIT_POLICY, _P.APPROVE_POLICY, _P.MANAGE_EXCEPTIONS},
        # Checks others, so decides nothing.
        Role.AUDITOR: _VIEW | {_P.VIEW_QUALITY, _P.LOOK_AGAIN, _P.VIEW_ACTIONS, _P.EXPORT_ACTIONS, _P.EXPORT_CASES},
        # Gives roles, so decides nothing: to do so an admin must take another role, which is recorded.
        Role.ADMIN: _VIEW
        | {_P.VIEW_QUALITY, _P.VIEW_ACTIONS, _P.MANAGE_USERS, _P.RETRY_DEAD_LETTERS, _P.MANAGE_REASON_TEXTS},
    }
)
"""The permissions of each role; those of a user are those of all its roles together."""


def permits(user: User, permission: Permission) -> bool:
    """Whether one of the user's roles has the permission."""
    return any(permission in PERMISSIONS_OF[role] for role in user.roles)


class NotSignedIn(Exception):
    """A request without a valid session. Answered by a redirect to the sign-in page; under `/v1` by 401."""


class NotPermitted(Exception):
    """A request for which the user lacks a permission. Answered by 403."""

    def __init__(self, permission: Permission) -> None:
        super().__init__(permission)
        self.permission = permission


@dataclass(frozen=True, slots=True)
class Needs:
    """A dependency of a route: returns the user if it is signed in and permitted."""

    permission: Permission

    async def __call__(self, request: Request) -> User:
        """Raises NotSignedIn or NotPermitted."""
        user = signed_in(request)
        if user is None:
            raise NotSignedIn
        if not permits(user, self.permission):
            raise NotPermitted(self.permission)
        return user


def needs(permission: Permission) -> Needs:
    """The dependency that lets only users with this permission through: `user: Annotated[User, Depends(needs(...))]`.

    Two dependencies with the same permission are equal, so that a test can override one.
    """
    return Needs(permission)


async def for_everyone() -> None:
    """The dependency of a route that needs no sign-in, such as the sign-in page: each route declares a dependency."""


def signed_in(request: Request) -> User | None:
    """The user of the request's session, as the session middleware found it; None without a valid session."""
    user = request.scope.get("callwarden.user")
    return user if isinstance(user, User) else None
