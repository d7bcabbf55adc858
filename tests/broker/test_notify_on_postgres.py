"""The notifier's tables on a real PostgreSQL."""

from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from postgres import Postgres

from monitor.policy.load import load
from streams.consumers.database import Database
from streams.consumers.notify import outbox
from streams.consumers.notify.outbox import ChannelQueue
from streams.consumers.notify.sample_messages import sample_messages
from streams.consumers.notify.tables import METADATA
from streams.runtime.wall_clock import epoch_ms

pytestmark = pytest.mark.services


async def test_the_migrations_make_the_tables_that_the_code_knows(postgres: Postgres) -> None:
    database = Database(postgres.database("notify_tables"), "notify")
    await database.migrate()

    def differences(connection: Any) -> list[Any]:
        context = MigrationContext.configure(connection, opts={"version_table": "notify_version"})
        return list(compare_metadata(context, METADATA))

    assert await database.run(differences) == []
    database.close()


async def test_the_outbox_keeps_a_message_once_and_in_order(postgres: Postgres) -> None:
    database = Database(postgres.database("notify_outbox"), "notify")
    await database.migrate()
    messages = sample_messages(load(None), epoch_ms())
    for _ in range(2):
        await database.run(lambda connection: outbox.enqueue(connection, messages, ["alertmanager", "wecom"], 5))
    waiting = await database.run(lambda connection: outbox.due_rows(connection, "alertmanager", 5, 100))
    assert [row.message for row in waiting] == messages
    assert (await database.run(outbox.queues))["wecom"] == ChannelQueue(sum(m.others for m in messages), 5, 0)
    database.close()
