"""Stores reviews, tenants and applications; the texts of the last two without telephone numbers, as pages show them."""

import msgspec
from sqlalchemy import Connection, insert, select, update

from monitor.text.masking import mask_text
from monitor.text.record_ids import ids_of
from schemas import codec
from schemas.inputs import Application, Tenant
from streams.console.intake.places import check_lengths, place_of
from streams.console.tables import APPLICATIONS, REVIEWS, TENANTS
from streams.consumers.follower import FollowedRecord
from streams.consumers.record_decoding import UndecodableRecord, review_of
from streams.consumers.sql_common import insert_new


def store_review(connection: Connection, record: FollowedRecord) -> None:
    """Store a review, whether it takes effect or not. Raises UndecodableRecord."""
    review = review_of(record.value)
    names = ("review_id", "enforcement_id", "tenant_id", "verdict", "reviewer", "reason", "updated_ms")
    row = {name: getattr(review, name) for name in names} | {"kind": review.kind or None, **place_of(record)}
    connection.execute(insert(REVIEWS).values(row | {"signature": record.signature}))


def store_tenant(connection: Connection, record: FollowedRecord) -> None:
    """Store a tenant or an application for numbers, if it is the newest. Raises UndecodableRecord."""
    if record.value is None:
        raise UndecodableRecord("it has no value; expected a tenant or an application")
    try:
        decoded = codec.read(record.value)
    except codec.InvalidRecordError as error:
        raise UndecodableRecord(str(error)) from None
    if isinstance(decoded, Tenant):
        _store_newest_tenant(connection, decoded)
    elif isinstance(decoded, Application):
        _store_newest_application(connection, decoded)
    else:
        tag = decoded.__struct_config__.tag
        raise UndecodableRecord(f"a record of type {tag}; expected a tenant or an application")


def _store_newest_tenant(connection: Connection, tenant: Tenant) -> None:
    ids = ids_of(tenant)
    name = mask_text(tenant.name, ids) if tenant.name else None
    businesses = [mask_text(each, ids) for each in tenant.declared_businesses]
    row = {
        "tenant_id": tenant.tenant_id,
        "name": name,
        "name_folded": None if name is None else name.casefold()[:256],
        "owner_id": tenant.owner_id or None,
        "businesses": msgspec.json.encode(businesses).decode(),
        "numbers": len(tenant.numbers),
        "updated_ms": tenant.updated_ms,
    }
    check_lengths(tenant_id=tenant.tenant_id, owner_id=tenant.owner_id or None)
    t = TENANTS.c
    if connection.execute(insert_new(connection, TENANTS).values(row).returning(t.tenant_id)).first() is None:
        newer = (t.tenant_id == tenant.tenant_id, t.updated_ms <= tenant.updated_ms)
        connection.execute(update(TENANTS).where(*newer).values(row))


def _store_newest_application(connection: Connection, application: Application) -> None:
    a, ids = APPLICATIONS.c, ids_of(application)
    row = {
        "tenant_id": application.tenant_id,
        "application_id": application.application_id,
        "declared_business": mask_text(application.declared_business, ids),
        "scenario": mask_text(application.scenario, ids) if application.scenario else None,
        "updated_ms": application.updated_ms,
    }
    same = (a.tenant_id == application.tenant_id, a.application_id == application.application_id)
    if connection.execute(select(a.updated_ms).where(*same)).first() is None:
        connection.execute(insert_new(connection, APPLICATIONS).values(row))
    else:
        connection.execute(update(APPLICATIONS).where(*same, a.updated_ms <= application.updated_ms).values(row))
