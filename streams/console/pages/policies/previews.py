"""Previews of a policy: start one on topics or files, follow it, read and export its result."""

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import Annotated, Any, Final, NamedTuple

from fastapi import APIRouter, Depends, Request
from sqlalchemy import Connection
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from monitor.adapters.shipped import NAMES as FORMATS
from streams.console import actions
from streams.console.actions import About
from streams.console.context import ConsoleContext, context_of
from streams.console.identity.permissions import Permission, needs
from streams.console.identity.users import User
from streams.console.pages.policies.preview_export import as_csv, as_json
from streams.console.pages.render import formats_of, language_of, render
from streams.console.pages.texts import text
from streams.console.policies import drafts
from streams.console.previews import store
from streams.console.previews.store import Preview, PreviewRefused, PreviewRequest
from streams.settings.load import Settings

router = APIRouter(include_in_schema=False)

Context = Annotated[ConsoleContext, Depends(context_of)]
Viewer = Annotated[User, Depends(needs(Permission.VIEW_POLICY))]
Editor = Annotated[User, Depends(needs(Permission.EDIT_POLICY))]

PATH: Final = "/policy/previews"
DAYS: Final = (1, 3, 7, 14, 30, 0)
"""The periods of the console's own records that can be chosen; 0: all of them."""
_USUAL_DAYS: Final = 7
_RUNS_OF_DRAFT: Final = 5
_RUNS_OF: Final = 25
_TENANTS_OF: Final = 50
_FORM_BYTES: Final = 1 << 20
_MOST_FIELDS: Final = 10
_MOST_CONSTANTS: Final = 20
_LONGEST_CONSTANT: Final = 500


def upload_limit(settings: Settings) -> dict[tuple[str, str], int]:
    """The largest body of a request that starts a preview, for the server."""
    return {("POST", PATH): (settings.console_preview_upload << 20) + _FORM_BYTES}


@router.get(PATH)
async def previews(request: Request, user: Viewer, context: Context, after: str = "") -> Response:
    """The newest previews of everybody, and the form that starts one of a policy file."""
    return await _list(request, context, after)


@router.post(PATH)
async def begin(request: Request, user: Editor, context: Context) -> Response:
    """Start a preview of a draft, as it is saved, on the console's own records or on those that are sent."""
    # Not by FastAPI, which would read the form before it asks for the permission.
    async with request.form(max_files=1, max_fields=_MOST_FIELDS) as form:
        try:
            if context.previews is None:
                raise PreviewRefused("not_here")
            wanted = _wanted(form, context.settings)
            draft, base = await context.read(
                lambda connection: (drafts.get(connection, wanted.draft_id), context.policies.newest(connection))
            )
            if draft is None:
                raise PreviewRefused("no_draft")
            requested = PreviewRequest(
                source=context.previews.own_source if wanted.file is None else "file",
                days=wanted.days,
                title=draft.title,
                base=(f"{base.id} {base.version}", base.sha256),
                draft_id=draft.id,
                file_name=wanted.file_name,
                file_bytes=wanted.file_bytes,
                format=wanted.format,
                constants=wanted.constants,
            )
            text = draft.text.encode("utf-8", "surrogatepass")
            preview_id = await context.previews.submit(requested, text, base, user, wanted.file)
        except PreviewRefused as refused:
            return await _refused(request, context, refused)
    return _to(request, f"{PATH}/{preview_id}")


@router.get("/policy/drafts/{draft_id}/preview")
async def of_draft(request: Request, draft_id: str, user: Viewer, context: Context) -> Response:
    """The panel on the page of a draft: the form and the draft's previews."""

    def read(connection: Connection) -> dict[str, Any]:
        runs = store.newest(connection, context.clock(), _RUNS_OF_DRAFT, draft_id)
        return {"runs": runs, "base": context.policies.newest(connection)}

    values = await context.read(read) | _choices(context)
    return render(request, "policy/preview_panel.html.j2", **values, draft_id=draft_id)


@router.get(f"{PATH}/{{preview_id}}")
async def preview(request: Request, preview_id: str, user: Viewer, context: Context, page: int = 1) -> Response:
    """One preview: its progress, or its result."""

    def read(connection: Connection) -> dict[str, Any]:
        one = _found(store.preview_of(connection, preview_id, context.clock()))
        return {"one": one, "result": store.result_of(connection, preview_id)}

    found = await context.read(read)
    result, first = found["result"], (max(1, min(page, 1_000)) - 1) * _TENANTS_OF
    changed = result.changed[first : first + _TENANTS_OF] if result is not None else []
    more = result is not None and len(result.changed) > first + _TENANTS_OF
    named = formats_of(request).rejected
    counts = result.records.rejected_by if result else []
    rejected = ", ".join(f"{named(reason) or reason} ({count:,})" for reason, count in counts)
    values: dict[str, Any] = {"changed": changed, "page": page, "more": more, "rejected": rejected}
    return render(request, "policy/preview.html.j2", **found, **values)


@router.get(f"{PATH}/{{preview_id}}/progress")
async def progress(request: Request, preview_id: str, user: Viewer, context: Context) -> Response:
    """How far it is, a fragment that the page asks for every second; at its end the page is loaded again."""
    one = _found(await context.read(partial(store.preview_of, preview_id=preview_id, now_ms=context.clock())))
    response = render(request, "policy/preview_progress.html.j2", one=one)
    if not one.is_open:
        response.headers["HX-Refresh"] = "true"
    return response


@router.post(f"{PATH}/{{preview_id}}/cancel")
async def cancel(request: Request, preview_id: str, user: Editor, context: Context) -> Response:
    """Cancel it; of one that has ended nothing changes."""
    if context.previews is not None:
        await context.previews.cancel(preview_id, user)
    return _to(request, f"{PATH}/{preview_id}")


@router.post(f"{PATH}/{{preview_id}}/export")
async def export(request: Request, preview_id: str, user: Editor, context: Context) -> Response:
    """The result as JSON or CSV. A POST, since it is recorded who exported it."""
    async with request.form(max_files=0, max_fields=_MOST_FIELDS) as form:
        kind = "csv" if form.get("format") == "csv" else "json"

    def work(connection: Connection) -> tuple[Preview, bytes]:
        one = _found(store.preview_of(connection, preview_id, context.clock()))
        result = store.result_of(connection, preview_id)
        if result is None:
            raise HTTPException(404)
        details = {"step": "exported", "preview": preview_id, "format": kind}
        actions.record(connection, user, "policy_previewed", context.clock(), About(details=details))
        return one, as_csv(result, formats_of(request)) if kind == "csv" else as_json(one, result)

    _, body = await context.write(work)
    media = "text/csv; charset=utf-8" if kind == "csv" else "application/json"
    return Response(body, media_type=media, headers={"Content-Disposition": f'attachment; filename="preview.{kind}"'})


class _PreviewForm(NamedTuple):
    """What a form asks for; ``file`` is an open descriptor."""

    draft_id: str
    days: int
    file: int | None = None
    file_name: str | None = None
    file_bytes: int = 0
    format: str = ""
    constants: Mapping[str, str] = MappingProxyType({})


def _wanted(form: FormData, settings: Settings) -> _PreviewForm:
    """Raises PreviewRefused."""
    draft_id, days, file = str(form.get("draft", "")), str(form.get("days", "")), form.get("file")
    if form.get("source") != "file":
        return _PreviewForm(draft_id, int(days) if days in map(str, DAYS) else _USUAL_DAYS)
    if not isinstance(file, UploadFile) or not file.size:
        raise PreviewRefused("no_file")
    if file.size > settings.console_preview_upload << 20:
        raise PreviewRefused("file_large")
    form_at, constants = str(form.get("format", "")), _constants(str(form.get("set", "")))
    if form_at and form_at not in FORMATS:
        raise PreviewRefused("format")
    if constants and not form_at:
        raise PreviewRefused("set_without_format")
    # In a file without a name, also a small one: the child process opens it by its descriptor.
    name = (file.filename or "")[:200]
    return _PreviewForm(draft_id, 0, file.file.fileno(), name, file.size, form_at, constants)


def _constants(given: str) -> dict[str, str]:
    """The settings of a format, one ``NAME=TEXT`` a line, as of ``--set``. Raises PreviewRefused."""
    lines = [line.strip() for line in given.splitlines() if line.strip()]
    if len(lines) > _MOST_CONSTANTS or any(len(line) > _LONGEST_CONSTANT or "=" not in line for line in lines):
        raise PreviewRefused("set")
    parts = (line.partition("=") for line in lines)
    return {name.strip(): value.strip() for name, _, value in parts}


def _found(one: Preview | None) -> Preview:
    if one is None:
        raise HTTPException(404)
    return one


async def _list(request: Request, context: ConsoleContext, after: str = "", error: str = "") -> Response:
    def read(connection: Connection) -> dict[str, Any]:
        found = store.newest(connection, context.clock(), _RUNS_OF + 1, after=after)
        shown = found[:_RUNS_OF]
        return {
            "runs": shown,
            "next_cursor": f"{shown[-1].asked_ms}-{shown[-1].id}" if len(found) > _RUNS_OF else "",
            "drafts": drafts.newest(connection),
            "base": context.policies.newest(connection),
        }

    values = await context.read(read) | _choices(context) | {"first": not after, "error": error}
    return render(request, "policy/previews.html.j2", 409 if error else 200, **values)


def _choices(context: ConsoleContext) -> dict[str, Any]:
    """What the form that starts a preview needs."""
    limit = context.settings.console_preview_upload
    own = None if context.previews is None else context.previews.own_source
    return {"days": DAYS, "usual_days": _USUAL_DAYS, "limit": limit, "own_source": own, "formats": FORMATS}


async def _refused(request: Request, context: ConsoleContext, refused: PreviewRefused) -> Response:
    limit = context.settings.console_preview_upload
    said = text(language_of(request), "preview.refused." + refused.key, limit=limit)
    if request.headers.get("hx-request"):
        # htmx swaps no answer that has a status of errors.
        return render(request, "policy/preview_refused.html.j2", error=said)
    return await _list(request, context, error=said)


def _to(request: Request, path: str) -> Response:
    if request.headers.get("hx-request"):
        return Response(status_code=204, headers={"HX-Redirect": path})
    return RedirectResponse(path, 303)
