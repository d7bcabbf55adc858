"""What a command logs of a record of another program is not in its answer."""

import subprocess
import sys


def test_a_command_that_has_set_up_no_logs_writes_them_to_standard_error() -> None:
    code = "from streams.topics.foreign_records import log_foreign_record as log; log('skipped', at='x-0'); print('{}')"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "{}\n"
    assert "skipped" in done.stderr
    assert "x-0" in done.stderr


def test_a_program_that_has_set_up_its_logs_keeps_them() -> None:
    code = (
        "from streams.runtime.logging import set_up_logs\n"
        "from streams.topics.foreign_records import log_foreign_record\n"
        "set_up_logs('json', 'error'); log_foreign_record('skipped', at='x-0')"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("", "")
