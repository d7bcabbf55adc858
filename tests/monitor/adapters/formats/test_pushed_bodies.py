"""A body that a platform pushes is read like a file."""

import json

from adapter_rows import read
from platform_records import contact, conversation, plivo

from monitor.adapters.mapped import MappedAdapter
from monitor.adapters.shipped import open_adapter


def test_a_body_of_a_push_is_read_like_a_file() -> None:
    for name, content in [("amazon-connect", contact()), ("genesys", json.dumps(conversation())), ("plivo", plivo())]:
        adapter = open_adapter(name)
        assert isinstance(adapter, MappedAdapter)
        assert [row.record for row in adapter.read(content.encode())] == [row.record for row in read(name, content)]
