"""A row of a table as a document of its mapping."""

from pathlib import Path

import pytest
from followed_tables import MAPPING, MemoryTable

from monitor.adapters.shipped import open_adapter
from streams.ingest.follow.row_writer import RowWriter
from streams.ingest.follow.tables.row_document import RowDocument
from streams.ingest.follow.tables.table_rows import TableRow
from streams.ingest.follow.tables.table_source import TableSource


@pytest.mark.parametrize("column", [b"[" * 100_000 + b"]" * 100_000, b'"\\ud800"'])
def test_a_column_of_json_that_cannot_be_read_steps_aside(column: bytes, tmp_path: Path, rows: RowWriter) -> None:
    (tmp_path / "csv.yaml").write_text(MAPPING.replace("format: json", "format: csv"))
    form = RowDocument(open_adapter(str(tmp_path / "csv.yaml")), "calls")  # type: ignore[arg-type]
    table = MemoryTable()
    table.visible = {1}
    table.rows = lambda above: [TableRow(1, b'{"callid":' + column + b"}")]  # type: ignore[method-assign]
    batch = TableSource(table, form, rows).read()
    assert batch is not None
    assert batch.results["rejected"] == 1


def test_an_event_of_a_row_is_the_one_of_a_file(tmp_path: Path) -> None:
    adapter = open_adapter("kamailio-acc")
    columns = "id,method,from_tag,to_tag,callid,sip_code,sip_reason,time,tenant,src_user,dst_user,exact_time"
    line = '7,INVITE,a,b,c-1,200,OK,2026-03-02 08:00:00,acme,"1,2",+8613800000000,1772438400.120'
    of_file = adapter.events(f"{columns}\n{line}\n".encode())[0]  # type: ignore[attr-defined]
    row = (
        b'{"id":7,"method":"INVITE","from_tag":"a","to_tag":"b","callid":"c-1","sip_code":"200","sip_reason":"OK",'
        b'"time":"2026-03-02 08:00:00","tenant":"acme","src_user":"1,2","dst_user":"+8613800000000",'
        b'"exact_time":1772438400.120}'
    )
    of_table = adapter.events(RowDocument(adapter, "kamailio-acc").of(row))[0]  # type: ignore[attr-defined, arg-type]
    assert of_table.event == of_file.event
    assert of_table.value == of_file.value
