"""Exceptions of the policy: which hold and until when, and the form that adds, changes or ends one in a draft."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request
from sqlalchemy import Connection
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from monitor.policy.describe import rule_names
from monitor.policy.edit.exceptions import ExceptionChange, edit_exception
from monitor.policy.edit.nodes import NotEditable
from monitor.policy.file.errors import PolicyError
from monitor.policy.model import Policy
from monitor.text.numbers import number
from streams.console.identity.permissions import Permission, needs
from streams.console.identity.users import User
from streams.console.pages.policies.forms import Context, PolicyViewer
from streams.console.pages.render import language_of, render
from streams.console.pages.texts import text
from streams.console.policies import drafts
from streams.console.policies.drafts import DraftRefused
from streams.console.policies.exceptions import (
    KINDS,
    ExceptionForm,
    FieldRefused,
    listed,
    next_version,
    place_of,
    written,
)

router = APIRouter(include_in_schema=False)

ExceptionManager = Annotated[User, Depends(needs(Permission.MANAGE_EXCEPTIONS))]

PATH: Final = "/policy/exceptions"
_PAGE_OF: Final = 100
_LONGEST: Final = 256
_MOST_FIELDS: Final = 1_200
_RULE_FIELDS: Final = ("threshold", "min_denominator", "mode")


@router.get(PATH)
async def exceptions(request: Request, user: PolicyViewer, context: Context, q: str = "", page: int = 1) -> Response:
    """The exceptions of the newest policy, also those that have expired."""
    policy, source = await _newest(context)
    found = await asyncio.to_thread(listed, source, policy, context.clock(), q.strip()[:_LONGEST])
    first = (max(1, min(page, 10_000)) - 1) * _PAGE_OF
    values: dict[str, Any] = {
        "policy": policy,
        "rule_names": rule_names(policy),
        "shown": found[first : first + _PAGE_OF],
        "total": len(found),
        "counts": {state: sum(one.state == state for one in found) for state in ("holds", "soon", "expired")},
        "q": q,
        "page": page,
        "more": len(found) > first + _PAGE_OF,
        "kinds": KINDS,
    }
    return render(request, "policy/exceptions.html.j2", **values)


@router.get(f"{PATH}/edit")
async def form(request: Request, user: ExceptionManager, context: Context) -> Response:
    """The form of a new exception, its fields prefilled by the address, or of one that the policy has."""
    given = request.query_params
    kind, at = place_of(given.get("kind", ""), given.get("at", ""))
    policy, source = await _newest(context)
    values = {name: given.get(name, "")[:_LONGEST] for name in ("tenant", "rule")} | {"owner": user.name}
    rules: Sequence[str] = [values["rule"]] if values["rule"] else []
    if at is not None:
        fields = await asyncio.to_thread(written, source, kind, at)
        if fields is None:
            raise HTTPException(404)
        values, rules = _as_written(fields, policy)
    today = datetime.fromtimestamp(context.clock() / 1000, UTC).date().isoformat()
    values |= {"version": next_version(policy.version, today), "policy": drafts.text_hash(source)}
    return _form(request, policy, ExceptionForm(kind, at, values, rules), today)


@router.post(f"{PATH}/edit")
async def edit(request: Request, user: ExceptionManager, context: Context) -> Response:
    """Make the change in the policy's text, as a new draft, which is then proposed like any other.

    An exception goes by its number in its list, so it must be the list that the form was made from.
    """
    async with request.form(max_files=0, max_fields=_MOST_FIELDS) as fields:
        given, ending = _given(fields), fields.get("do") == "end"
    policy, source = await _newest(context)
    today = datetime.fromtimestamp(context.clock() / 1000, UTC).date().isoformat()
    language = language_of(request)
    if given.at is not None and given.values["policy"] not in ("", drafts.text_hash(source)):
        return _form(request, policy, given, today, [text(language, "exceptions.changed")])
    try:
        change = (
            ExceptionChange(given.kind, given.at, None, version=given.values["version"] or None)
            if ending
            else given.change(policy)
        )
        if ending and given.at is None:
            raise FieldRefused("nothing")
        edited = await asyncio.to_thread(edit_exception, source, "policy", change)
        title = _title(language, given, "end" if ending else "add" if given.at is None else "change")

        def work(connection: Connection) -> str:
            return drafts.create(connection, user, edited.text, title, context.clock()).id

        draft_id = await context.write(work)
    except FieldRefused as refused:
        return _form(request, policy, given, today, [text(language, "exceptions.field." + refused.key)])
    except PolicyError as error:
        return _form(request, policy, given, today, [text(language, fault.both) for fault in error.faults[:5]])
    except NotEditable:
        return _form(request, policy, given, today, [text(language, "exceptions.by_hand")])
    except DraftRefused as refused:
        return _form(request, policy, given, today, [text(language, "policy.refused." + refused.key)])
    return RedirectResponse(f"/policy/drafts/{draft_id}", 303)


async def _newest(context: Context) -> tuple[Policy, str]:
    """The newest policy and its text."""

    def read(connection: Connection) -> tuple[Policy, str]:
        policy = context.policies.newest(connection)
        return policy, context.policies.text_of(connection, policy)

    return await context.read(read)


def _given(fields: FormData) -> ExceptionForm:
    kind, at = place_of(str(fields.get("kind", "")), str(fields.get("at", "")))
    names = ("tenant", "tenants", "rule", "name", "owner", "reason", "expires", "version", "policy", *_RULE_FIELDS)
    values = {name: str(fields.get(name, "")) for name in names}
    return ExceptionForm(kind, at, values, [str(each) for each in fields.getlist("rules")])


def _as_written(fields: dict[str, Any], policy: Policy) -> tuple[dict[str, str], Sequence[str]]:
    """The values of a form for an exception that the text has."""
    names = ("tenant", "rule", "owner", "reason", "expires", "min_denominator", "mode")
    values = {name: str(fields[name]) if fields.get(name) is not None else "" for name in names}
    rule = next((rule for rule in policy.rules if rule.id == values["rule"]), None)
    threshold = fields.get(rule.direction) if rule else None
    values |= {
        "threshold": "" if threshold is None else number(float(threshold)),
        "tenants": "\n".join(fields.get("tenants", ())),
    }
    return values, fields.get("rules") or fields.get("exempt") or ()


def _title(language: Any, given: ExceptionForm, step: str) -> str:
    who = given.values["tenant"] or given.values["name"] or (str(given.at) if given.kind == "profile" else "")
    kind = text(language, "exceptions.kind." + given.kind)
    rules = ", ".join(given.rules[:3]) or given.values["rule"]
    return text(language, "exceptions.draft." + step, kind=kind, who=who, rules=rules)


def _form(request: Request, policy: Policy, form: ExceptionForm, today: str, errors: Sequence[str] = ()) -> Response:
    values: dict[str, Any] = {"policy": policy, "form": form, "errors": errors, "today": today}
    values["chosen"] = next((rule for rule in policy.rules if rule.id == form.values.get("rule")), None)
    return render(request, "policy/exception.html.j2", 409 if errors else 200, **values)
